// @ts-check
// Masks as pictures: read from the server, and made into a grey PNG for it.
import { make } from "./elements.js";

/** @import {Mask} from "./mask.js" */

/** @param {Mask} mask @param {string} address */
export async function readMask(mask, address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const canvas = make("canvas", { width: mask.width, height: mask.height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, 0, 0, mask.width, mask.height);
  const { data } = context.getImageData(0, 0, mask.width, mask.height);
  for (let i = 0; i < mask.values.length; i += 1) mask.values[i] = data[4 * i] ?? 0;
}

/** @param {Mask} mask @param {number} radius of the soft edge, px @returns {Promise<Blob>} PNG */
export function greyPicture(mask, radius) {
  const canvas = make("canvas", { width: mask.width, height: mask.height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const image = context.createImageData(mask.width, mask.height);
  mask.softened(radius).forEach((value, i) => {
    image.data[4 * i] = image.data[4 * i + 1] = image.data[4 * i + 2] = Math.round(value);
    image.data[4 * i + 3] = 255;
  });
  context.putImageData(image, 0, 0);
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob ? resolve(blob) : reject(new Error("no PNG"))), "image/png");
  });
}
