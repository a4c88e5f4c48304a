// @ts-check
// One part of the photo, or the rest of it: what it looks like and what happens there.
import { pictureUrl } from "./api.js";
import { make, newId, slider } from "./elements.js";
import { percent, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Region} from "./types.js" */

/**
 * @param {Settings} settings
 * @param {Region} region
 * @param {string} name
 * @param {(source: string) => string} paintingName
 * @param {HTMLElement[]} buttons
 */
export function regionRow(settings, region, name, paintingName, buttons) {
  const id = newId();
  const choices = [
    ["keep", t("regions.keep")],
    ["", t("regions.all")],
    ...(settings.paintings.length > 1
      ? settings.paintings.map(({ source }, index) => [
          String(index + 1),
          t("regions.only", { name: paintingName(source) }),
        ])
      : []),
  ];
  const now = region.keep ? "keep" : region.styles.join("+");
  if (!choices.some(([value]) => value === now)) choices.push([now, now]);
  const what = make(
    "select",
    {
      id,
      onchange: () => {
        region.keep = what.value === "keep";
        region.styles = region.keep ? [] : what.value.split("+").map(Number).filter(Boolean);
        // They were those of the paintings before.
        delete region.own.shares;
        strength.element.hidden = region.keep;
        settings.changed("region");
      },
    },
    choices.map(([value, words]) => make("option", { value, selected: value === now }, words)),
  );
  const strength = slider({
    name: t("options.strength.name"),
    min: 0,
    max: 100,
    value: Math.round((region.strength ?? settings.value("strength")) * 100),
    say: (value) => percent(value / 100),
    onchange: (value) => {
      region.strength = value / 100;
      settings.changed("region");
    },
  });
  strength.element.hidden = region.keep;
  return make(
    "fieldset",
    { class: "region" },
    make("legend", { class: "unseen" }, name),
    region.mask
      ? make("img", { src: pictureUrl(region.mask, "thumb"), alt: t("regions.mask_alt", { name }) })
      : make(
          "div",
          { class: "outside" },
          settings.regions.map(({ mask }) => mask && make("img", { src: pictureUrl(mask, "thumb"), alt: "" })),
        ),
    make(
      "div",
      { class: "rows" },
      make("div", { class: "field" }, make("label", { for: id }, name), what),
      strength.element,
      buttons.length > 0 && make("div", { class: "row" }, buttons),
    ),
  );
}
