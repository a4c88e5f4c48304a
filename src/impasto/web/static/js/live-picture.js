// @ts-check
// Fetches the newest live picture at the size it is shown, one at a time, and swaps it in whole.
import { make } from "./elements.js";

/** @import {Viewer} from "./viewer.js" */

/** Long sides that are asked for, px: those that the server encodes, so that viewers share them. */
const SIDES = [320, 640, 1024];

/** @param {string} id of the job @param {Viewer} viewer */
export function livePicture(id, viewer) {
  let shown = -1;
  let wanted = -1;
  let busy = false;

  const next = async () => {
    if (busy || wanted === shown) return;
    busy = true;
    const version = wanted;
    const side = SIDES.find((one) => one >= viewer.needed) ?? SIDES.at(-1);
    const picture = make("img", {
      src: `/api/jobs/${id}/live?side=${side}&version=${version}`,
      alt: "",
      draggable: "false",
      class: "fresh",
    });
    try {
      await picture.decode();
      if (wanted >= 0) setPicture(viewer, picture);
    } catch {
      // The next version comes soon.
    }
    shown = version;
    busy = false;
    next();
  };
  return {
    /** @param {number | null | undefined} version */
    show(version) {
      if (version === null || version === undefined) return;
      wanted = version;
      next();
    },
    stop() {
      wanted = shown = -1;
    },
  };
}

/**
 * Puts a loaded picture over the one before, which goes once the new one is wholly there.
 * @param {Viewer} viewer
 * @param {HTMLImageElement} picture
 */
export function setPicture(viewer, picture) {
  const old = viewer.after;
  picture.alt = old.alt;
  old.alt = "";
  picture.style.clipPath = old.style.clipPath;
  viewer.after = picture;
  old.after(picture);
  setTimeout(() => old.remove(), 400);
}
