// @ts-check
// The window in which a mask is painted over the photo, with a brush or by numbers.
import { announce } from "./announce.js";
import { pictureUrl } from "./api.js";
import { dialogHead } from "./dialog-head.js";
import { addStyles, button, fill, make, newId, slider } from "./elements.js";
import { Mask } from "./mask.js";
import { maskBrush } from "./mask-brush.js";
import { greyPicture, readMask } from "./mask-picture.js";
import { maskShapes } from "./mask-shapes.js";
import { faultWords, percent, t } from "./words.js";

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
  await Promise.all([picture.decode(), addStyles("mask")]);
  const scale = Math.min(1, SIDE / Math.max(picture.naturalWidth, picture.naturalHeight));
  const mask = new Mask(
    Math.max(1, Math.round(picture.naturalWidth * scale)),
    Math.max(1, Math.round(picture.naturalHeight * scale)),
  );
  if (old) await readMask(mask, pictureUrl(old, "view"));
  return new Promise((resolve) => openPainter(picture, mask, resolve));
}

/**
 * @param {HTMLImageElement} picture
 * @param {Mask} mask
 * @param {(blob: Blob | null) => void} done
 */
function openPainter(picture, mask, done) {
  const id = newId();
  const fault = make("p", { class: "fault", role: "alert" });
  const long = Math.max(mask.width, mask.height);
  let soft = 0.01;
  const { brush, canvas, ring, draw } = maskBrush(mask, () => {
    undo.disabled = !mask.canUndo;
  });
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
        checked: erases === brush.isErasing,
        onchange: () => {
          brush.isErasing = erases;
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
      brush.radius = (value / 200) * long;
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

  const dialog = make(
    "dialog",
    { "aria-labelledby": id, "aria-describedby": `${id}-help` },
    dialogHead(
      make(
        "div",
        {},
        make("h2", { id }, t("mask.title")),
        make("p", { class: "help", id: `${id}-help` }, t("mask.help")),
      ),
      t("mask.leave"),
      () => dialog.close(),
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
    maskShapes(mask, draw),
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
