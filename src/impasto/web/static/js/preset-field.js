// @ts-check
// The choice of a preset: one that comes with impasto, or one of the visitor's own.
import { button, fill, make, newId } from "./elements.js";
import { t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {OwnPreset} from "./types.js" */

/** What tells one's own presets from those that come with impasto. */
const OWN = "own:";

/** @param {Settings} settings @param {OwnPreset[]} own which the window of them changes */
export function presetField(settings, own) {
  const id = newId();
  const { presets } = settings.options;
  const note = make("p", { class: "help", id: `${id}-help` });
  const named = (/** @type {string} */ name) => t(`presets.${name}.name`, {}, name);
  const current = () => own.find(({ id }) => id === settings.own);
  const select = make("select", {
    id,
    "aria-describedby": `${id}-help`,
    onchange: () => {
      const chosen = own.find((one) => select.value === OWN + one.id);
      settings.exchange(current()?.options ?? {}, chosen?.options ?? { preset: select.value }, chosen?.id);
    },
  });
  const show = () => {
    const chosen = current();
    const base = settings.value("preset");
    select.value = chosen ? OWN + chosen.id : base;
    for (const { id, name, options } of own) {
      const isChanged = chosen?.id === id && !settings.holds(options);
      const option = select.querySelector(`[value="${OWN}${id}"]`);
      if (option) option.textContent = isChanged ? t("few.changed", { name }) : name;
    }
    note.textContent = chosen
      ? t("few.own_preset_help", { preset: named(base) })
      : t(`presets.${base}.help`, {}, presets[base]?.description ?? "");
  };
  const draw = () => {
    const group = (/** @type {string} */ label, /** @type {HTMLElement[]} */ options) =>
      make("optgroup", { label }, options);
    const given = Object.keys(presets).map((name) => make("option", { value: name }, named(name)));
    const mine = own.map((one) => make("option", { value: OWN + one.id }, one.name));
    if (mine.length === 0) fill(select, given);
    else fill(select, group(t("few.presets"), given), group(t("few.own_presets"), mine));
    // One that is exactly what is set is the one that is meant.
    const same = settings.hasOwn() && [current(), ...own].find((one) => one && settings.holds(one.options));
    if (same) settings.own = same.id;
    show();
  };
  const open = async () => (await import("./own-presets.js")).ownPresets(settings, own, draw);
  draw();
  const element = make(
    "div",
    { class: "field" },
    make("label", { for: id }, t("options.preset.name")),
    select,
    note,
    make("div", {}, button("", t("few.manage_presets"), open, "small-button")),
  );
  return { element, show };
}
