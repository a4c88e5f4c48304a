// @ts-check
// Chooses files of pictures.
import { icon, make } from "./elements.js";

/**
 * What files may be chosen; the server looks at their contents anyway. HEIC is left out, which few
 * servers can decode: Safari then sends it as the first kind here.
 */
const ACCEPT = "image/jpeg,image/png,image/webp,image/tiff,image/avif,image/gif";

/**
 * A button to choose picture files with.
 * @param {object} about
 * @param {string} about.words
 * @param {(files: File[]) => void} about.take what was chosen
 * @param {string} [about.drawing] name of an icon
 * @param {string} [about.kind] classes; with `icon-button` the words are not shown
 * @param {boolean} [about.camera] take a photo at once
 * @param {boolean} [about.multiple]
 * @param {string} [about.accept]
 */
export function fileButton({ words, take, drawing = "upload", kind = "", camera, multiple, accept = ACCEPT }) {
  const input = make("input", {
    type: "file",
    accept,
    multiple,
    capture: camera ? "environment" : null,
    "aria-label": words,
    onchange: () => {
      const files = [...(input.files ?? [])];
      // The same file can then be chosen again.
      input.value = "";
      if (files.length) take(files);
    },
  });
  const isIcon = kind.split(" ").includes("icon-button");
  return make(
    "span",
    { class: `button file-button ${kind}` },
    icon(drawing),
    !isIcon && make("span", { "aria-hidden": "true" }, words),
    input,
  );
}
