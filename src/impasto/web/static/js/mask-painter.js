// @ts-check
// The window in which a mask is painted over the photo, with a brush or by numbers.
import { announce } from "./announce.js";
import { pictureUrl } from "./api.js";
import { button, fill, icon, make, newId, slider } from "./elements.js";
import { Mask } from "./mask.js";
import { faultWords, number, percent, t } from "./words.js";

/** Long side of a mask, px: its edge is soft, so that it need not be as large as the photo. */
const SIDE = 1024;

/**
 * @param {string} photo address of the photo's view
 * @param {string | null} old picture id of a mask to change
 * @returns {Promise<Blob | null>} a grey PNG; none if the person has left it
 */
export async function paintMask(photo, old) {
  const picture = new Image();
  picture.src = photo;
  picture.alt = "";
  await picture.decode();
  const scale = Math.min(1, SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
  const mask = new Mask(
    Math.max(1, Math.round(picture.naturalWidth * scale)),
    Math.max(1, Math.round(picture.naturalHeight * scale)),
  );
  if (old) await readMask(mask, pictureUrl(old, "view"));
  return new Promise((resolve) => openPainter(picture, mask, resolve));
}

/** @param {Mask} mask @param {string} address */
async function readMask(mask, address) {
  const picture = new Image();
  picture.src = address;
  await picture.decode();
  const canvas = make("canvas", { width: mask.width, height: mask.height });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.drawImage(picture, 0, 0, mask.width, mask.height);
  const { data } = context.getImageData(0, 0, mask.width, mask.height);
  for (let i = 0; i < mask.values.length; i += 1) mask.values[i] = data[4 * i] ?? 0;
}

/**
 * @param {HTMLImageElement} picture
 * @param {Mask} mask
 * @param {(blob: Blob | null) => void} done
 */
function openPainter(picture, mask, done) {
  const id = newId();
  const { width, height } = mask;
  const canvas = make("canvas", { width, height, role: "img", "aria-label": t("mask.canvas") });
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const ring = make("div", { class: "ring", hidden: true });
  const fault = make("p", { class: "fault", role: "alert" });
  const long = Math.max(width, height);
  let isErasing = false;
  let soft = 0.01;
  let radius = 0.05 * long;

  /** @param {number} [x] @param {number} [y] @param {number} [w] @param {number} [h] */
  const draw = (x = 0, y = 0, w = width, h = height) => {
    const image = context.createImageData(w, h);
    for (let row = 0; row < h; row += 1) {
      for (let column = 0; column < w; column += 1) {
        const to = 4 * (row * w + column);
        image.data[to] = 255;
        image.data[to + 1] = 70;
        image.data[to + 2] = 40;
        image.data[to + 3] = mask.values[(y + row) * width + x + column] ?? 0;
      }
    }
    context.putImageData(image, x, y);
    undo.disabled = !mask.canUndo;
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
    mask.stroke(from.x, from.y, to.x, to.y, radius, isErasing ? 0 : 255);
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
    const wide = (2 * radius * canvas.clientWidth) / width;
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

  const undo = button("undo", t("mask.undo"), () => {
    mask.undo();
    draw();
    announce(t("mask.undone"));
  });
  const tool = (/** @type {boolean} */ erases) =>
    make(
      "label",
      { class: "tile" },
      make("input", {
        type: "radio",
        name: `${id}-tool`,
        checked: erases === isErasing,
        onchange: () => {
          isErasing = erases;
        },
      }),
      t(erases ? "mask.eraser" : "mask.brush"),
    );
  const size = slider({
    name: t("mask.size"),
    min: 1,
    max: 30,
    value: 10,
    say: (value) => percent(value / 100),
    oninput: (value) => {
      radius = (value / 200) * long;
    },
  });
  const edge = slider({
    name: t("mask.soft"),
    min: 0,
    max: 20,
    value: 1,
    say: (value) => (value === 0 ? t("mask.hard") : percent(value / 100)),
    oninput: (value) => {
      soft = value / 100;
    },
  });

  /** @type {Record<string, HTMLInputElement>} */
  const numbers = {};
  const numberField = (/** @type {string} */ name, /** @type {number} */ value) => {
    const input = make("input", {
      type: "number",
      min: 0,
      max: 100,
      step: "any",
      value: String(value),
      inputmode: "decimal",
    });
    numbers[name] = input;
    return make("label", { class: "field" }, t(`mask.${name}`), input);
  };
  const shape = make(
    "select",
    {},
    make("option", { value: "rectangle" }, t("mask.rectangle")),
    make("option", { value: "ellipse" }, t("mask.ellipse")),
  );
  const addShape = (/** @type {number} */ value) => {
    const [left, top, wide, tall] = ["left", "top", "width", "height"].map(
      (name) => Number(numbers[name]?.value) / 100,
    );
    const kind = /** @type {"rectangle" | "ellipse"} */ (shape.value);
    mask.shape(kind, left ?? 0, top ?? 0, Math.max(wide ?? 0, 1e-6), Math.max(tall ?? 0, 1e-6), value);
    draw();
    const share = mask.values.reduce((sum, one) => sum + one, 0) / 255 / mask.values.length;
    announce(t("mask.covers", { share: percent(share) }));
  };

  const dialog = make(
    "dialog",
    { "aria-labelledby": id, "aria-describedby": `${id}-help` },
    make(
      "div",
      { class: "dialog-head" },
      make(
        "div",
        {},
        make("h2", { id }, t("mask.title")),
        make("p", { class: "help", id: `${id}-help` }, t("mask.help")),
      ),
      make(
        "button",
        { class: "icon-button", type: "button", "aria-label": t("mask.leave"), onclick: () => dialog.close() },
        icon("close"),
      ),
    ),
    make("div", { class: "mask-stage" }, picture, canvas, ring),
    make(
      "div",
      { class: "mask-tools" },
      make(
        "fieldset",
        {},
        make("legend", {}, t("mask.tool")),
        make("div", { class: "tiles" }, tool(false), tool(true)),
      ),
      size.element,
      edge.element,
      make(
        "div",
        { class: "row" },
        undo,
        button("", t("mask.invert"), () => {
          mask.invert();
          draw();
        }),
        button("", t("mask.clear"), () => {
          mask.fill(0);
          draw();
        }),
      ),
    ),
    make(
      "details",
      {},
      make("summary", {}, t("mask.by_numbers")),
      make(
        "div",
        { class: "fold-body" },
        make("p", { class: "help" }, t("mask.numbers_help", { width: number(100) })),
        make(
          "div",
          { class: "numbers" },
          make("label", { class: "field" }, t("mask.shape"), shape),
          numberField("left", 25),
          numberField("top", 25),
          numberField("width", 50),
          numberField("height", 50),
        ),
        make(
          "div",
          { class: "row" },
          button("plus", t("mask.add"), () => addShape(255)),
          button("minus", t("mask.subtract"), () => addShape(0)),
        ),
      ),
    ),
    fault,
    make(
      "div",
      { class: "row" },
      button(
        "",
        t("mask.done"),
        async () => {
          if (mask.isEmpty) {
            fill(fault, t("mask.empty"));
            return;
          }
          try {
            const blob = await greyPicture(mask, soft * long);
            done(blob);
            dialog.close();
          } catch (error) {
            fill(fault, faultWords(error));
          }
        },
        "main-button",
      ),
      button("", t("mask.leave"), () => dialog.close()),
    ),
  );
  dialog.addEventListener("keydown", (event) => {
    const inText = event.target instanceof HTMLInputElement && event.target.type === "number";
    if (event.key === "z" && (event.ctrlKey || event.metaKey) && !inText && mask.canUndo) {
      event.preventDefault();
      undo.click();
    }
  });
  dialog.addEventListener("close", () => {
    dialog.remove();
    done(null);
  });
  document.body.append(dialog);
  draw();
  dialog.showModal();
}

/** @param {Mask} mask @param {number} radius of the soft edge, px @returns {Promise<Blob>} PNG */
function greyPicture(mask, radius) {
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
