// @ts-check
// The canvas that shows a mask, and the brush that paints on it.
import { make } from "./elements.js";
import { t } from "./words.js";

/** @import {Mask} from "./mask.js" */

/** The colour that a mask is shown in. */
const RED = { red: 255, green: 70, blue: 40 };

/** @param {Mask} mask @param {() => void} ondraw after each change that is shown */
export function maskBrush(mask, ondraw) {
  const { width, height } = mask;
  const brush = { isErasing: false, radius: 0.05 * Math.max(width, height) };
  const canvas = make("canvas", { width, height, role: "img", "aria-label": t("mask.canvas") });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const ring = make("div", { class: "ring", hidden: true });

  /** @param {number} [x] @param {number} [y] @param {number} [w] @param {number} [h] */
  const draw = (x = 0, y = 0, w = width, h = height) => {
    const image = context.createImageData(w, h);
    for (let row = 0; row < h; row += 1) {
      for (let column = 0; column < w; column += 1) {
        const to = 4 * (row * w + column);
        image.data[to] = RED.red;
        image.data[to + 1] = RED.green;
        image.data[to + 2] = RED.blue;
        image.data[to + 3] = mask.values[(y + row) * width + x + column] ?? 0;
      }
    }
    context.putImageData(image, x, y);
    ondraw();
  };

  /** @type {{x: number, y: number} | null} */
  let last = null;
  /** @param {PointerEvent} event */
  const place = (event) => {
    const box = canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) / box.width) * width,
      y: ((event.clientY - box.top) / box.height) * height,
    };
  };
  /** @param {PointerEvent} event */
  const paint = (event) => {
    if (!last) return;
    const from = last;
    const to = place(event);
    const { radius } = brush;
    mask.stroke(from.x, from.y, to.x, to.y, radius, brush.isErasing ? 0 : 255);
    const left = Math.max(0, Math.floor(Math.min(from.x, to.x) - radius));
    const top = Math.max(0, Math.floor(Math.min(from.y, to.y) - radius));
    const right = Math.min(width, Math.ceil(Math.max(from.x, to.x) + radius) + 1);
    const bottom = Math.min(height, Math.ceil(Math.max(from.y, to.y) + radius) + 1);
    last = to;
    if (right > left && bottom > top) draw(left, top, right - left, bottom - top);
  };
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    mask.remember();
    last = place(event);
    paint(event);
  });
  canvas.addEventListener("pointermove", (event) => {
    const wide = (2 * brush.radius * canvas.clientWidth) / width;
    ring.hidden = event.pointerType !== "mouse";
    ring.style.width = ring.style.height = `${wide}px`;
    ring.style.transform = `translate(${event.offsetX - wide / 2}px, ${event.offsetY - wide / 2}px)`;
    paint(event);
  });
  canvas.addEventListener("pointerleave", () => {
    ring.hidden = true;
  });
  const end = () => {
    last = null;
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  return { brush, canvas, ring, draw: () => draw() };
}
