// @ts-check
// Sheets of paper: how large they are, and what they are called.
import { number, t } from "./words.js";

/** @typedef {{name: string, width_mm: number, height_mm: number}} Paper */

/** Longer sides for screens, px. */
export const SIZES = [512, 1024, 2048, 4096];

/** Pixels per inch of a print where none are given. */
export const DPI = 300;
/** Fewest and most pixels per inch that a print may have. */
export const COARSEST = 50;
export const FINEST = 1200;

/** Pixels along a sheet's longer side. @param {Paper} paper @param {number | null} [dpi] */
export function paperSide(paper, dpi) {
  return Math.round((Math.max(paper.width_mm, paper.height_mm) / 25.4) * (dpi ?? DPI));
}

/** The finest print of a sheet with so many pixels along its longer side. @param {Paper} paper @param {number} most */
export function finestDpi(paper, most) {
  return Math.floor((most * 25.4) / Math.max(paper.width_mm, paper.height_mm));
}

/** The usual print of a sheet, or the finest round one that is left. @param {Paper} paper @param {number} most */
export function usualDpi(paper, most) {
  return Math.min(DPI, Math.floor(finestDpi(paper, most) / 10) * 10);
}

/** @param {Paper} paper */
export function paperWords(paper) {
  const sides = [paper.width_mm, paper.height_mm].map((side) =>
    number(side / 10, { maximumFractionDigits: 1 }),
  );
  const name = t(`papers.${paper.name}`, {}, paper.name.toUpperCase());
  return t("few.paper", { name, width: sides[0] ?? "", height: sides[1] ?? "" });
}
