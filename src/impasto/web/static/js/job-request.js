// @ts-check
// What a job is asked for by now, and what to ask for to go on from it.
import { COARSEST, DPI, SIZES, paperSide, usualDpi } from "./paper.js";
import { Settings } from "./settings.js";

/** @import {Job, JobRequest, Options} from "./types.js" */

/**
 * A size that a result can be taken to.
 * @typedef {object} Larger
 * @property {{size?: number, print?: string, dpi?: number}} options a size, or a sheet
 * @property {number} side longer one, px
 */

/** Options that hang on the size: a larger picture has its own. */
const OF_SIZE = new Set(["size", "print", "print_fit", "dpi", "levels", "preview", "aspect"]);
/** Pixels that a result may differ from the shape of what goes on from it. */
const ROOM = 2;

/** What was asked for, with what was changed while it ran. @param {Job} job @returns {JobRequest} */
export function requestNow({ request, strength }) {
  return strength === null ? request : { ...request, options: { ...request.options, strength } };
}

/** @param {Job} job @param {Options} options */
function settingsOf(job, options) {
  const settings = new Settings(options);
  settings.readRequest(requestNow(job));
  return settings;
}

/** How strong a job's painting is, from 0 to 1. @param {Job} job @param {Options} options */
export function strengthNow(job, options) {
  return /** @type {number} */ (settingsOf(job, options).value("strength"));
}

/** The address of the studio with a job's settings. @param {Job} job @param {Options} options */
export function addressOf(job, options) {
  return `/?${settingsOf(job, options).query()}`;
}

/**
 * The sizes that a result can be taken to, smallest first. One that fills a sheet has that sheet's
 * shape, so that it goes on to sheets alone, and of these to such as have the same shape.
 * @param {Job} job a finished one @param {Options} options @param {number} most longest side, px
 * @returns {Larger[]}
 */
export function largerSizes({ request, result }, options, most) {
  const [short = 0, long = 0] = [result?.width ?? 0, result?.height ?? 0].toSorted((a, b) => a - b);
  const fills = request.options.print_fit === "fill";
  const papers = options.papers
    .filter(({ width_mm, height_mm }) => {
      const ratio = Math.min(width_mm, height_mm) / Math.max(width_mm, height_mm);
      return !fills || Math.abs(long * ratio - short) <= ROOM;
    })
    .map((paper) => {
      const dpi = request.options.dpi ?? usualDpi(paper, most);
      const options = { print: paper.name, ...(dpi === DPI ? {} : { dpi }) };
      return { options, side: dpi < COARSEST ? 0 : paperSide(paper, dpi) };
    });
  const sizes = fills ? [] : SIZES.map((side) => ({ options: { size: side }, side }));
  return [...sizes, ...papers.toSorted((a, b) => a.side - b.side)].filter(
    ({ side }) => side > long && side <= most,
  );
}

/**
 * What to ask for to take a result to a larger size.
 * @param {Job} job a finished one @param {Larger} larger
 */
export function largerRequest(job, { options }) {
  const request = requestNow(job);
  const others = Object.entries(request.options).filter(([name]) => !OF_SIZE.has(name));
  const onPaper = request.options.print_fit === "fill" ? { print_fit: "fill" } : {};
  return {
    ...request,
    coarse: job.result?.id,
    label: job.label,
    title: job.title,
    options: { ...Object.fromEntries(others), ...(options.print ? onPaper : {}), ...options },
  };
}
