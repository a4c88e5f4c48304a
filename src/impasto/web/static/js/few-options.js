// @ts-check
// The few things that matter: preset, strength, brush size, colours and the picture's size.
import { fill, make, newId, slider } from "./elements.js";
import { COARSEST, DPI, FINEST, SIZES, finestDpi, paperSide, paperWords, usualDpi } from "./paper.js";
import { presetField } from "./preset-field.js";
import { percent, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Me, OwnPreset} from "./types.js" */

/** Options that have a control of their own here or elsewhere on the page. */
export const OWN_CONTROL = new Set([
  ...["preset", "strength", "style_scale", "color", "color_strength"],
  ...["size", "print", "print_fit", "dpi", "style_weights", "regions"],
]);

const SCALES = [0.25, 0.35, 0.5, 0.7, 1, 1.4, 2, 2.8, 4];

/** @param {Settings} settings @param {Me} me @param {OwnPreset[]} own */
export function fewOptions(settings, me, own) {
  const strength = slider({
    name: t("options.strength.name"),
    min: 0,
    max: 100,
    value: 100,
    say: (value) => percent(value / 100),
    ends: [t("few.photo"), t("few.painting")],
    oninput: (value) => settings.set("strength", value / 100),
  });
  const brush = slider({
    name: t("options.style_scale.name"),
    min: 0,
    max: SCALES.length - 1,
    value: 4,
    say: (value) => {
      const own = settings.given.style_scale;
      if (typeof own === "string" && !SCALES.includes(Number(own))) return own;
      return t("few.times", { factor: SCALES[value] ?? 1 });
    },
    ends: [t("few.fine"), t("few.bold")],
    oninput: (value) => settings.set("style_scale", SCALES[value] === 1 ? null : SCALES[value]),
  });
  const colors = tiles("color", settings);
  const amount = slider({
    name: t("options.color_strength.name"),
    min: 0,
    max: 100,
    value: 100,
    say: (value) => percent(value / 100),
    oninput: (value) => settings.set("color_strength", value / 100),
  });
  const size = sizeField(settings, me);
  const preset = presetField(settings, own);

  const show = () => {
    strength.set(Math.round(settings.value("strength") * 100));
    const scale = Number(settings.value("style_scale")) || 1;
    const near = (/** @type {number} */ one) => Math.abs(Math.log(one / scale));
    brush.set(SCALES.reduce((best, one, i) => (near(one) < near(SCALES[best] ?? 1) ? i : best), 4));
    colors.show();
    amount.set(Math.round(settings.value("color_strength") * 100));
    amount.element.hidden = settings.value("color") === "painting";
    size.show();
    preset.show();
  };
  settings.addEventListener("changed", show);
  show();
  return make(
    "div",
    { class: "rows" },
    strength.element,
    brush.element,
    colors.element,
    amount.element,
    size.element,
    preset.element,
  );
}

/** Radio buttons for an option's choices. @param {string} name @param {Settings} settings */
function tiles(name, settings) {
  const inputs = (settings.options.schema.properties[name]?.enum ?? []).map((value) =>
    make("input", { type: "radio", name, value, onchange: () => settings.set(name, value) }),
  );
  const element = make(
    "fieldset",
    {},
    make("legend", {}, t(`options.${name}.name`)),
    make(
      "div",
      { class: "tiles" },
      inputs.map((input) =>
        make("label", { class: "tile" }, input, t(`choices.${name}.${input.value}`)),
      ),
    ),
  );
  const show = () => {
    for (const input of inputs) input.checked = input.value === settings.value(name);
  };
  return { element, show };
}

/** @param {Settings} settings @param {Me} me */
function sizeField(settings, me) {
  const { papers } = settings.options;
  const most = me.limits.max_size;
  const id = newId();
  const sideOf = (/** @type {import("./paper.js").Paper} */ paper) =>
    paperSide(paper, settings.value("dpi"));
  const dpiFor = (/** @type {import("./paper.js").Paper} */ paper) => usualDpi(paper, most);
  const note = make("p", { class: "help", id: `${id}-help` });
  const fault = make("p", { class: "fault", role: "alert" });
  /** The number in a field, brought within its bounds, which is said. @param {HTMLInputElement} input @param {number} usual */
  const bounded = (input, usual) => {
    const given = Math.round(Number(input.value) || usual);
    const value = Math.min(Number(input.max), Math.max(Number(input.min), given));
    if (value !== Number(input.value)) {
      fault.textContent = t("few.corrected", { low: Number(input.min), high: Number(input.max), value });
    } else fill(fault);
    return value;
  };
  const select = make("select", {
    id,
    "aria-describedby": `${id}-help`,
    onchange: () => {
      const [kind, value] = select.value.split(":");
      isOwn = kind === "own";
      fill(fault);
      delete settings.given.print;
      delete settings.given.print_fit;
      delete settings.given.dpi;
      if (kind === "print") {
        delete settings.given.size;
        const paper = papers.find((one) => one.name === value);
        if (paper && dpiFor(paper) < DPI) settings.given.dpi = dpiFor(paper);
        settings.set("print", value);
      } else settings.set("size", kind === "size" ? Number(value) : settings.value("size"));
    },
  });
  let isOwn = false;
  const ownInput = make("input", {
    type: "number",
    id: `${id}-own`,
    min: 16,
    max: most,
    step: 1,
    inputmode: "numeric",
    "aria-describedby": `${id}-range`,
    onchange: () => settings.set("size", bounded(ownInput, 512)),
  });
  const own = {
    element: make(
      "div",
      { class: "field" },
      make("label", { for: `${id}-own` }, t("few.own_size")),
      ownInput,
      make("p", { class: "help", id: `${id}-range` }, t("few.own_range", { low: 16, high: most })),
    ),
  };
  const fit = tiles("print_fit", settings);
  const dpiInput = make("input", {
    type: "number",
    id: `${id}-dpi`,
    min: COARSEST,
    max: FINEST,
    step: 1,
    inputmode: "numeric",
    onchange: () => settings.set("dpi", bounded(dpiInput, DPI)),
  });
  const dpi = make(
    "div",
    { class: "field" },
    make("label", { for: `${id}-dpi` }, t("options.dpi.name")),
    dpiInput,
    make("p", { class: "help" }, t("few.dpi_help")),
  );
  const element = make(
    "div",
    { class: "rows" },
    make("div", { class: "field" }, make("label", { for: id }, t("few.size")), select, note),
    own.element,
    fault,
    fit.element,
    dpi,
  );
  const show = () => {
    const print = settings.value("print");
    const size = settings.value("size");
    isOwn = !print && (isOwn || !SIZES.includes(size));
    const chosen = print ? `print:${print}` : isOwn ? "own" : `size:${size}`;
    const option = (/** @type {string} */ value, /** @type {string} */ words, tooLarge = false) =>
      make(
        "option",
        { value, selected: value === chosen, disabled: tooLarge && value !== chosen },
        tooLarge ? t("few.too_large", { name: words }) : words,
      );
    const listed = papers.some((paper) => paper.name === print);
    fill(
      select,
      make(
        "optgroup",
        { label: t("few.for_screen") },
        SIZES.map((side) => option(`size:${side}`, t(`few.size_${side}`), side > most)),
        option("own", t("few.own")),
      ),
      make(
        "optgroup",
        { label: t("few.for_paper") },
        papers.map((paper) => {
          const words = paperWords(paper);
          const dpi = paper.name === print ? (settings.value("dpi") ?? DPI) : dpiFor(paper);
          const tooLarge = dpi < COARSEST || paperSide(paper, dpi) > most;
          const named = dpi === DPI ? words : t("few.paper_dpi", { name: words, dpi });
          return option(`print:${paper.name}`, named, tooLarge);
        }),
        print && !listed && option(`print:${print}`, print),
      ),
    );
    const paper = papers.find((one) => one.name === print);
    const side = paper ? sideOf(paper) : print ? null : size;
    note.textContent = side ? t("few.pixels", { side }) : "";
    own.element.hidden = !isOwn;
    ownInput.value = size;
    fit.element.hidden = !print;
    fit.show();
    dpi.hidden = !print;
    dpiInput.max = String(paper ? Math.min(FINEST, finestDpi(paper, most)) : FINEST);
    dpiInput.value = String(settings.value("dpi") ?? DPI);
  };
  return { element, show };
}
