// @ts-check
// Shapes of a mask by numbers, for whoever has neither mouse nor finger.
import { announce } from "./announce.js";
import { button, make } from "./elements.js";
import { number, percent, t } from "./words.js";

/** @import {Mask} from "./mask.js" */

/** @param {Mask} mask @param {() => void} onchange */
export function maskShapes(mask, onchange) {
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
    onchange();
    const share = mask.values.reduce((sum, one) => sum + one, 0) / 255 / mask.values.length;
    announce(t("mask.covers", { share: percent(share) }));
  };

  return make(
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
  );
}
