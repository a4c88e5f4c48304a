// @ts-check
// What this is, what happens to one's pictures, and the keys.
import { make } from "./elements.js";
import { loadLaterWords, t } from "./words.js";

/** @import {Me} from "./types.js" */

/** @param {Me} me @returns {Promise<import("./main.js").Page>} */
export async function aboutPage(me) {
  await loadLaterWords();
  const days = me.limits.keep_days;
  const keys = ["zoom", "fit", "pan", "slider"];
  return {
    title: t("frame.about"),
    element: make(
      "div",
      { class: "page narrow" },
      make("h1", {}, t("about.title")),
      make(
        "div",
        { class: "prose" },
        make("p", {}, t("about.what")),
        make("h2", {}, t("about.how_title")),
        make("p", {}, t("about.how")),
        make("h2", {}, t("about.yours_title")),
        make("p", {}, t("about.yours")),
        make("p", {}, days ? t("about.days", { count: days }) : t("about.kept")),
        make("h2", {}, t("about.keys_title")),
        make("ul", {}, keys.map((key) => make("li", {}, t(`about.key_${key}`)))),
        make("h2", {}, t("about.credits_title")),
        make("p", {}, t("about.credits")),
      ),
    ),
  };
}
