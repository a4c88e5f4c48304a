// @ts-check
// "Different in parts": masks over the photo, and what happens in each and in the rest.
import { announce } from "./announce.js";
import { pictureUrl, upload } from "./api.js";
import { button, fill, make } from "./elements.js";
import { fileButton } from "./file-button.js";
import { faultWords, loadLaterWords, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Region} from "./types.js" */

/** @param {Settings} settings @param {(source: string) => string} paintingName */
export function regionsFold(settings, paintingName) {
  const body = make("div", { class: "fold-body" });
  const count = make("span", { class: "count" });
  const list = make("div", { class: "rows" });
  const fault = make("p", { class: "fault", role: "alert" });

  /** @param {Region | null} region the one to change, or none for a new one */
  const paint = async (region) => {
    fill(fault);
    if (!settings.photo) {
      fault.textContent = t("studio.needs_photo");
      return;
    }
    try {
      const [{ paintMask }] = await Promise.all([import("./mask-painter.js"), loadLaterWords()]);
      const mask = await paintMask(pictureUrl(settings.photo, "view"), region?.mask ?? null);
      if (!mask) return;
      await keep(mask, "mask.png", region);
    } catch (error) {
      fault.textContent = faultWords(error);
    }
  };

  /** @param {Blob} file @param {string} name @param {Region | null} region */
  const keep = async (file, name, region) => {
    const picture = await upload("mask", file, name);
    if (region) region.mask = picture.id;
    else {
      settings.regions.push({ mask: picture.id, keep: true, styles: [], strength: null, own: {} });
    }
    announce(t("regions.there"));
    settings.changed("regions");
  };

  const take = async (/** @type {File[]} */ [file]) => {
    if (!file) return;
    fill(fault);
    try {
      await keep(file, file.name, null);
    } catch (error) {
      fault.textContent = faultWords(error);
    }
  };

  const show = async () => {
    count.textContent = t("regions.count", { count: settings.regions.length });
    count.hidden = settings.regions.length === 0;
    if (settings.regions.length === 0) {
      fill(list);
      return;
    }
    const { regionRow } = await import("./region-row.js");
    const rows = settings.regions.map((region, index) =>
      regionRow(settings, region, t("regions.name", { count: index + 1 }), paintingName, [
        button("brush", t("regions.change"), () => paint(region), "small-button"),
        button(
          "trash",
          t("regions.remove"),
          () => {
            settings.regions.splice(index, 1);
            settings.changed("regions");
            add.focus();
          },
          "small-button plain-button",
        ),
      ]),
    );
    const rest = rows.length > 0 && regionRow(settings, settings.rest, t("regions.rest"), paintingName, []);
    fill(list, rows, rest);
  };
  const add = button("brush", t("regions.add"), () => paint(null));
  body.append(
    make("p", { class: "help" }, t("regions.help")),
    list,
    make(
      "div",
      { class: "row" },
      add,
      fileButton({ words: t("regions.upload"), take }),
    ),
    fault,
  );
  settings.addEventListener("changed", (event) => {
    const what = /** @type {CustomEvent} */ (event).detail;
    if (["", "regions", "paintings", "strength", "preset"].includes(what)) show();
  });
  show();
  return make(
    "details",
    { open: settings.regions.length > 0 },
    make("summary", {}, make("h2", {}, t("regions.title")), count),
    body,
  );
}
