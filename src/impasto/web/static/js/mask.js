// @ts-check
// A mask as numbers: one byte for each pixel, 255 where it holds. Knows nothing of the page.

/** How many steps can be taken back. */
const STEPS = 30;

export class Mask {
  /** @type {Uint8ClampedArray<ArrayBuffer>[]} */
  #before = [];

  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.values = new Uint8ClampedArray(width * height);
  }

  get isEmpty() {
    return !this.values.some((value) => value > 0);
  }

  get canUndo() {
    return this.#before.length > 0;
  }

  /** Keeps the mask as it is, for `undo`. */
  remember() {
    this.#before.push(this.values.slice());
    if (this.#before.length > STEPS) this.#before.shift();
  }

  undo() {
    const last = this.#before.pop();
    if (last) this.values = last;
  }

  /** @param {number} value */
  fill(value) {
    this.remember();
    this.values.fill(value);
  }

  invert() {
    this.remember();
    for (let i = 0; i < this.values.length; i += 1) this.values[i] = 255 - (this.values[i] ?? 0);
  }

  /**
   * A stroke of a round brush from one point to another, px.
   * @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
   * @param {number} radius px
   * @param {number} value 255 paints, 0 erases
   */
  stroke(x0, y0, x1, y1, radius, value) {
    const [dx, dy] = [x1 - x0, y1 - y0];
    const length = dx * dx + dy * dy || 1;
    const low = Math.max(0, Math.floor(Math.min(y0, y1) - radius));
    const high = Math.min(this.height - 1, Math.ceil(Math.max(y0, y1) + radius));
    const left = Math.max(0, Math.floor(Math.min(x0, x1) - radius));
    const right = Math.min(this.width - 1, Math.ceil(Math.max(x0, x1) + radius));
    for (let y = low; y <= high; y += 1) {
      for (let x = left; x <= right; x += 1) {
        const at = Math.min(1, Math.max(0, ((x - x0) * dx + (y - y0) * dy) / length));
        const distance = Math.hypot(x - x0 - at * dx, y - y0 - at * dy);
        if (distance <= radius) this.values[y * this.width + x] = value;
      }
    }
  }

  /**
   * A rectangle or an ellipse, in shares of the picture's sides.
   * @param {"rectangle" | "ellipse"} shape
   * @param {number} left @param {number} top @param {number} width @param {number} height
   * @param {number} value
   */
  shape(shape, left, top, width, height, value) {
    this.remember();
    for (let y = 0; y < this.height; y += 1) {
      const v = ((y + 0.5) / this.height - top) / height;
      if (v < 0 || v > 1) continue;
      for (let x = 0; x < this.width; x += 1) {
        const u = ((x + 0.5) / this.width - left) / width;
        const inside =
          shape === "rectangle" ? u >= 0 && u <= 1 : (u - 0.5) ** 2 + (v - 0.5) ** 2 <= 0.25;
        if (inside) this.values[y * this.width + x] = value;
      }
    }
  }

  /**
   * The mask with a soft edge: three box blurs, which are nearly a Gaussian one.
   * @param {number} radius px; 0 leaves it as it is
   */
  softened(radius) {
    const reach = Math.round(radius / 2);
    let values = Float32Array.from(this.values);
    if (reach < 1) return values;
    for (let turn = 0; turn < 3; turn += 1) {
      values = boxBlur(values, this.width, this.height, 1, this.width, reach);
      values = boxBlur(values, this.height, this.width, this.width, 1, reach);
    }
    return values;
  }
}

/**
 * The mean over `reach` neighbours on both sides along one direction; the border's values go on.
 * @param {Float32Array} values
 * @param {number} count along the direction @param {number} lines across it
 * @param {number} step along @param {number} lineStep across
 * @param {number} reach
 */
function boxBlur(values, count, lines, step, lineStep, reach) {
  const blurred = new Float32Array(values.length);
  for (let line = 0; line < lines; line += 1) {
    const at = (/** @type {number} */ i) =>
      values[line * lineStep + Math.min(count - 1, Math.max(0, i)) * step] ?? 0;
    let sum = 0;
    for (let i = -reach; i <= reach; i += 1) sum += at(i);
    for (let i = 0; i < count; i += 1) {
      blurred[line * lineStep + i * step] = sum / (2 * reach + 1);
      sum += at(i + reach + 1) - at(i - reach);
    }
  }
  return blurred;
}
