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
  /** The one that is set just now, if any: a choice that was changed since is none. */
  const current = () =>
    settings.hasOwn() ? own.find(({ options }) => settings.holds(options)) : undefined;
  const select = make("select", {
    id,
    "aria-describedby": `${id}-help`,
    onchange: () => {
      const chosen = own.find((one) => select.value === OWN + one.id);
      if (chosen) settings.take(chosen.options);
      else if (current()) settings.take({ preset: select.value });
      else settings.set("preset", select.value);
    },
  });
  const show = () => {
    const chosen = current();
    const base = settings.value("preset");
    select.value = chosen ? OWN + chosen.id : base;
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
