// @ts-check
// What "More settings" holds: a field for every other option, drawn from the schema that the command line uses.
import { button, fill, make, newId, slider } from "./elements.js";
import { OWN_CONTROL } from "./few-options.js";
import { pictureField } from "./picture-field.js";
import { faultWords, percent, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Drawn, Field} from "./types.js" */

/** @typedef {{element: HTMLElement, show: () => void, fault: (words: string) => void}} OptionField */
/** @typedef {{children: (HTMLElement | false)[], fields: Map<string, OptionField>}} AllOptions */

/** @param {Settings} settings @param {Drawn[]} styles @param {Drawn[]} samples @returns {AllOptions} */
export function allOptions(settings, styles, samples) {
  const fine = pictureField({
    name: t("fields.fine"),
    help: t("fields.fine_help"),
    kind: "style",
    sources: styles.map((one) => `style:${one.name}`),
    get: () => settings.fine,
    set: (source) => {
      settings.fine = source;
      settings.changed("fine");
    },
  });
  const third = pictureField({
    name: t("fields.third"),
    help: t("fields.third_help"),
    kind: "photo",
    sources: samples.map((one) => `sample:${one.name}`),
    get: () => settings.third,
    set: (source) => {
      settings.third = source;
      settings.changed("third");
    },
  });
  /** @type {Map<string, OptionField>} */
  const fields = new Map();
  const groups = settings.options.groups.map((group) => {
    const names = group.fields.filter(
      (name) => !OWN_CONTROL.has(name) && settings.options.schema.properties[name],
    );
    return (
      names.length > 0 && [
        make("h3", {}, t(`groups.${group.name}`, {}, group.name)),
        ...names.map((name) => {
          const field = optionField(name, settings);
          fields.set(name, field);
          return name === "start" ? [fine.element, field.element, third.element] : field.element;
        }),
      ]
    );
  });
  const show = () => {
    for (const field of fields.values()) field.show();
    fine.show();
    third.show();
    third.element.hidden = settings.value("start") !== "image";
  };
  settings.addEventListener("changed", show);
  show();
  return { children: [make("p", { class: "help" }, t("fields.help")), ...groups.flat(2)], fields };
}

/** @param {string} name @param {Settings} settings */
function optionField(name, settings) {
  const field = /** @type {Field} */ (settings.options.schema.properties[name]);
  const kinds = [field, ...(field.anyOf ?? []).flatMap((one) => [one, ...(one.anyOf ?? [])])];
  const kind = kinds.map((one) => one.type).find((type) => type && type !== "null") ?? "string";
  const limits = Object.assign({}, ...kinds.toReversed());
  const id = newId();
  const label = t(`options.${name}.name`, {}, name);
  const help = t(`help.${name}`, {}, field.description ?? "");
  const fault = make("p", { class: "fault", id: `${id}-fault` });
  const back = button("undo", t("fields.back"), () => settings.set(name, null), "plain-button small-button");
  back.setAttribute("aria-label", t("fields.back_name", { name: label }));
  /** @type {HTMLElement} */
  let body;
  /** @type {HTMLInputElement | HTMLSelectElement} */
  let input;
  /** @type {() => void} */
  let show;
  const described = `${id}-help ${id}-fault`;

  if (field.enum) {
    const select = make(
      "select",
      { id, "aria-describedby": described, onchange: () => settings.set(name, select.value) },
      field.enum.map((value) => make("option", { value }, t(`choices.${name}.${value}`, {}, value))),
    );
    input = select;
    show = () => {
      select.value = String(settings.value(name));
    };
    body = make("div", { class: "field" }, make("label", { for: id }, label), select);
  } else if (kind === "boolean") {
    const box = make("input", {
      type: "checkbox",
      id,
      "aria-describedby": described,
      onchange: () => settings.set(name, box.checked),
    });
    input = box;
    show = () => {
      box.checked = Boolean(settings.value(name));
    };
    body = make("label", { class: "tick", for: id }, box, label);
  } else if (kind === "number" && limits.minimum === 0 && limits.maximum === 1) {
    const control = slider({
      name: label,
      min: 0,
      max: 100,
      value: 0,
      say: (value) => percent(value / 100),
      oninput: (value) => settings.set(name, value / 100),
    });
    input = control.input;
    input.setAttribute("aria-describedby", described);
    show = () => control.set(Math.round(Number(settings.value(name)) * 100));
    body = control.element;
  } else {
    const isNumber = kind === "number" || kind === "integer";
    const text = make("input", {
      type: isNumber ? "number" : "text",
      id,
      min: isNumber ? (limits.minimum ?? limits.exclusiveMinimum) : null,
      max: isNumber ? (limits.maximum ?? limits.exclusiveMaximum) : null,
      step: isNumber ? (kind === "integer" ? 1 : "any") : null,
      inputmode: isNumber ? (kind === "integer" ? "numeric" : "decimal") : null,
      spellcheck: "false",
      autocapitalize: "off",
      autocomplete: "off",
      placeholder: limits.examples?.[0] ?? t("fields.automatic"),
      "aria-describedby": described,
      onchange: () => {
        const reason = isNumber && whyNot(text, limits);
        if (reason) {
          const words = faultWords({ code: "option", field: name, ...reason });
          settings.faults.set(name, words);
          setFault(words);
          back.hidden = false;
          return;
        }
        const given = text.value.trim();
        if (given === "") settings.set(name, null);
        else settings.set(name, isNumber ? Number(given) : given);
      },
    });
    input = text;
    show = () => {
      const value = settings.value(name);
      text.value = value === null || value === undefined ? "" : String(value);
    };
    body = make("div", { class: "field" }, make("label", { for: id }, label), text);
  }
  const setFault = (/** @type {string} */ words) => {
    fill(fault, words);
    fault.hidden = !words;
    if (words) input.setAttribute("aria-invalid", "true");
    else input.removeAttribute("aria-invalid");
  };
  setFault("");
  const element = make(
    "div",
    { class: "field", "data-option": name },
    body,
    make("p", { class: "help", id: `${id}-help` }, help),
    fault,
    make("div", {}, back),
  );
  return {
    element,
    fault: (/** @type {string} */ words) => {
      setFault(words);
      input.focus();
    },
    show: () => {
      // What somebody has typed stays until they mend it.
      if (settings.faults.has(name)) return;
      show();
      back.hidden = !(name in settings.given);
      if (fault.textContent) setFault("");
    },
  };
}

/**
 * Why a field's text is no value of its option, by the server's reasons.
 * @param {HTMLInputElement} input of numbers @param {Field} limits
 */
function whyNot({ validity, value }, { minimum, maximum, exclusiveMinimum, exclusiveMaximum }) {
  const reason = (/** @type {string} */ why, limit = 0) => ({ reason: why, values: { limit } });
  if (validity.badInput) return reason("no_number");
  if (value === "") return null;
  const given = Number(value);
  if (minimum !== undefined && given < minimum) return reason("too_small", minimum);
  if (maximum !== undefined && given > maximum) return reason("too_large", maximum);
  if (exclusiveMinimum !== undefined && given <= exclusiveMinimum) return reason("above", exclusiveMinimum);
  if (exclusiveMaximum !== undefined && given >= exclusiveMaximum) return reason("below", exclusiveMaximum);
  return validity.stepMismatch ? reason("no_whole_number") : null;
}
