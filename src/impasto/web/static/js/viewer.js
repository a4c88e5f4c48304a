// @ts-check
// Shows a picture before and after: a divider to move, zoom to single pixels, and pan, by mouse,
// touch and keyboard.
import { icon, make, slider } from "./elements.js";
import { percent, t } from "./words.js";

/** Largest zoom, screen pixels for a picture's pixel: of a picture that fits, and of one looked at. */
const LARGEST = 8;
const CLOSEST = 32;
/** Half the width of the divider's handle, with its edge, px. */
const KNOB = 20;
/** Share of the picture that the divider comes from when it first shows itself, and how long, ms. */
const HINT = 0.35;
const HINT_TIME = 1400;

export class Viewer {
  #scale = 1; // CSS px for a pixel of the picture
  #x = 0;
  #y = 0;
  #width = 1;
  #height = 1;
  #isFit = true;
  #shown = 1; // share of the picture, from the left, that is the painted one
  #hinting = 0;
  /** @type {Map<number, {x: number, y: number}>} */
  #fingers = new Map();
  /** Tells whenever the picture is looked at closer than it is sharp. @type {() => void} */
  oncloser = () => {};

  constructor() {
    this.before = make("img", { alt: "", draggable: "false" });
    this.after = make("img", { alt: "", draggable: "false" });
    this.world = make("div", { class: "world" }, this.before, this.after);
    const side = (/** @type {string} */ words) => make("span", {}, words);
    this.divider = make(
      "div",
      { class: "divider", "aria-hidden": "true", hidden: true },
      side(t("viewer.after")),
      side(t("viewer.before")),
    );
    this.glass = make(
      "div",
      { class: "glass", tabindex: 0, role: "group", "aria-label": t("viewer.label") },
      this.world,
      this.divider,
    );
    this.compare = slider({
      name: t("viewer.compare"),
      min: 0,
      max: 100,
      value: 100,
      // It stands where the divider does, which names its sides.
      say: (value) => t("viewer.painted", { share: percent(value / 100) }),
      oninput: (value) => {
        this.#stopHint();
        this.#show(value / 100);
      },
    });
    this.compare.element.classList.add("compare");
    this.compare.element.hidden = true;
    this.said = make("output", { "aria-label": t("viewer.zoom") });
    /** @param {Node | string} face @param {string} name @param {() => void} press */
    const tool = (face, name, press) =>
      make(
        "button",
        { type: "button", class: "icon-button", "aria-label": name, title: name, onclick: press },
        face,
      );
    this.element = make(
      "figure",
      { class: "viewer" },
      this.glass,
      make(
        "div",
        { class: "under" },
        this.compare.element,
        make(
          "div",
          { class: "zoom", role: "group", "aria-label": t("viewer.zoom") },
          tool(icon("minus"), t("viewer.out"), () => this.zoom(1 / 1.5)),
          this.said,
          tool(icon("plus"), t("viewer.in"), () => this.zoom(1.5)),
          tool(icon("fit"), t("viewer.fit"), () => this.fit()),
          tool("1:1", t("viewer.pixels"), () => this.pixels()),
        ),
      ),
    );
    this.#listen();
    this.watcher = new ResizeObserver(() => (this.#isFit ? this.fit() : this.#place()));
    this.watcher.observe(this.glass);
  }

  /** How large the picture is, px; keeps what is looked at. @param {number} width @param {number} height */
  setSize(width, height) {
    if (width === this.#width && height === this.#height) return;
    this.#scale *= this.#width / width;
    this.#width = width;
    this.#height = height;
    this.world.style.width = `${width}px`;
    this.world.style.height = `${height}px`;
    this.glass.style.setProperty("--tall", `${(height / width) * this.glass.clientWidth}px`);
    if (this.#isFit) this.fit();
    else this.#place();
  }

  /** Lets before and after be compared. @param {boolean} isOn */
  allowCompare(isOn) {
    this.compare.element.hidden = !isOn;
    this.divider.hidden = !isOn;
    this.glass.classList.toggle("splits", isOn);
    if (!isOn) this.compare.set(100);
    this.#show(Number(this.compare.input.value) / 100);
  }

  /**
   * Draws the divider aside once, so that one sees that the photo is beneath and what to move. The
   * slider stays where it ends, and so nothing is read aloud; whatever is pressed ends it.
   */
  hint() {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const began = performance.now();
    const end = Number(this.compare.input.value) / 100;
    const move = (/** @type {number} */ now) => {
      const left = 1 - Math.min(1, Math.max(0, now - began) / HINT_TIME);
      this.#show(end - HINT * left ** 3);
      this.#hinting = left > 0 ? requestAnimationFrame(move) : 0;
    };
    this.#hinting = requestAnimationFrame(move);
    const stop = () => {
      if (this.#hinting) this.#show(Number(this.compare.input.value) / 100);
      this.#stopHint();
    };
    for (const kind of ["pointerdown", "keydown", "wheel"]) {
      this.element.addEventListener(kind, stop, { capture: true, once: true, passive: true });
    }
  }

  #stopHint() {
    cancelAnimationFrame(this.#hinting);
    this.#hinting = 0;
  }

  /** Pixels of the screen along the picture's longer side as it is shown. */
  get needed() {
    const long = Math.max(this.#width, this.#height) * this.#fitScale();
    return Math.ceil(long * devicePixelRatio);
  }

  fit() {
    this.#isFit = true;
    this.glass.style.setProperty(
      "--tall",
      `${(this.#height / this.#width) * this.glass.clientWidth}px`,
    );
    this.#scale = this.#fitScale();
    this.#x = this.#y = 0;
    this.#place();
  }

  /** One pixel of the picture is one of the screen. */
  pixels() {
    this.zoom(1 / devicePixelRatio / this.#scale);
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] what stays in place, px in the glass */
  zoom(factor, x = this.glass.clientWidth / 2, y = this.glass.clientHeight / 2) {
    const fit = this.#fitScale();
    // A small picture fits at several screen pixels for one of its own.
    const low = Math.min(fit, 1 / devicePixelRatio);
    const wanted = Math.max(low, Math.min(CLOSEST, this.#scale * factor));
    if (Math.abs(wanted / fit - 1) < 0.001) {
      this.fit();
      return;
    }
    this.#isFit = false;
    this.#x = x - ((x - this.#x) * wanted) / this.#scale;
    this.#y = y - ((y - this.#y) * wanted) / this.#scale;
    this.#scale = wanted;
    this.#place();
  }

  close() {
    this.#stopHint();
    this.watcher.disconnect();
  }

  #fitScale() {
    const { clientWidth, clientHeight } = this.glass;
    return Math.min(LARGEST, clientWidth / this.#width, clientHeight / this.#height) || 1;
  }

  #place() {
    const across = this.glass.clientWidth - this.#width * this.#scale;
    const down = this.glass.clientHeight - this.#height * this.#scale;
    this.#x = across >= 0 ? across / 2 : Math.min(0, Math.max(across, this.#x));
    this.#y = down >= 0 ? down / 2 : Math.min(0, Math.max(down, this.#y));
    this.world.style.transform = `translate(${this.#x}px, ${this.#y}px) scale(${this.#scale})`;
    this.glass.classList.toggle("near", !this.#isFit);
    this.glass.classList.toggle("pixels", !this.#isFit && this.#scale * devicePixelRatio >= 3);
    this.said.textContent = percent(this.#scale * devicePixelRatio);
    this.#show(this.#shown);
    const sharp = this.after.naturalWidth;
    if (sharp && sharp < this.#width && this.#scale * devicePixelRatio * this.#width > sharp * 1.1) {
      this.oncloser();
    }
  }

  /** @param {number} share painted, from 0 to 1 */
  #show(share) {
    this.#shown = share;
    const edge = share * this.#width;
    this.after.style.clipPath = `inset(0 ${this.#width - edge}px 0 0)`;
    this.divider.classList.toggle("between", share > 0 && share < 1);
    this.divider.style.top = `${Math.max(0, this.#y)}px`;
    this.divider.style.height = `${Math.min(this.glass.clientHeight, this.#height * this.#scale)}px`;
    const wide = this.glass.clientWidth;
    const at = Math.min(wide, Math.max(0, this.#x + edge * this.#scale));
    this.divider.style.left = `${at}px`;
    // At the glass's edges the handle stays whole, beside its line.
    const knob = Math.min(wide - KNOB, Math.max(KNOB, at)) - at;
    this.divider.style.setProperty("--knob", `${knob}px`);
  }

  /** @param {number} clientX */
  #divide(clientX) {
    const at = clientX - this.glass.getBoundingClientRect().left - this.#x;
    const share = at / (this.#width * this.#scale);
    this.compare.set(Math.round(Math.min(1, Math.max(0, share)) * 100));
    this.#show(Number(this.compare.input.value) / 100);
  }

  /** Whether a press anywhere in the picture moves the divider there. */
  get #divides() {
    return this.#isFit && !this.divider.hidden;
  }

  #listen() {
    const { divider, glass } = this;
    divider.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      event.stopPropagation();
      divider.setPointerCapture(event.pointerId);
    });
    divider.addEventListener("pointermove", (event) => {
      if (divider.hasPointerCapture(event.pointerId)) this.#divide(event.clientX);
    });
    glass.addEventListener("wheel", (event) => {
      // Without a modifier the page scrolls, unless one is already looking closely.
      if (this.#isFit && !event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = glass.getBoundingClientRect();
      this.zoom(2 ** (-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
    });
    glass.addEventListener("dblclick", (event) => {
      const box = glass.getBoundingClientRect();
      if (this.#isFit) {
        const factor = 1 / devicePixelRatio / this.#scale;
        this.zoom(Math.max(2, factor), event.clientX - box.left, event.clientY - box.top);
      } else this.fit();
    });
    glass.addEventListener("pointerdown", (event) => {
      this.#fingers.set(event.pointerId, { x: event.clientX, y: event.clientY });
      if (!this.#isFit || this.#divides) glass.setPointerCapture(event.pointerId);
    });
    glass.addEventListener("click", (event) => this.#divides && this.#divide(event.clientX));
    glass.addEventListener("pointermove", (event) => this.#drag(event));
    const lift = (/** @type {PointerEvent} */ event) => this.#fingers.delete(event.pointerId);
    glass.addEventListener("pointerup", lift);
    glass.addEventListener("pointercancel", lift);
    glass.addEventListener("pointerleave", lift);
    glass.addEventListener("touchmove", (event) => event.touches.length > 1 && event.preventDefault(), {
      passive: false,
    });
    glass.addEventListener("keydown", (event) => this.#key(event));
  }

  /** @param {PointerEvent} event */
  #drag(event) {
    const old = this.#fingers.get(event.pointerId);
    if (!old) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const box = this.glass.getBoundingClientRect();
      const spread = (/** @type {{x: number, y: number}} */ one) =>
        Math.hypot(one.x - other.x, one.y - other.y) || 1;
      const [x, y] = [(now.x + other.x) / 2 - box.left, (now.y + other.y) / 2 - box.top];
      this.zoom(spread(now) / spread(old), x, y);
    } else if (!this.#isFit) {
      this.#x += now.x - old.x;
      this.#y += now.y - old.y;
      this.#place();
    } else if (this.#divides) this.#divide(now.x);
    this.#fingers.set(event.pointerId, now);
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target !== this.glass) return;
    const step = 60;
    /** @type {Record<string, () => void>} */
    const keys = {
      "+": () => this.zoom(1.5),
      "=": () => this.zoom(1.5),
      "-": () => this.zoom(1 / 1.5),
      0: () => this.fit(),
      1: () => this.pixels(),
    };
    if (!this.#isFit) {
      keys.ArrowLeft = () => (this.#x += step);
      keys.ArrowRight = () => (this.#x -= step);
      keys.ArrowUp = () => (this.#y += step);
      keys.ArrowDown = () => (this.#y -= step);
    }
    const press = keys[event.key];
    if (!press) return;
    event.preventDefault();
    press();
    this.#place();
  }
}
