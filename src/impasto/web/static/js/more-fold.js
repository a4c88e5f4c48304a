// @ts-check
// The fold of "More settings". Its fields, which few need, come when it is opened.
import { fill, make } from "./elements.js";
import { OWN_CONTROL } from "./few-options.js";
import { loadLaterWords, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Drawn} from "./types.js" */

/** @param {Settings} settings @param {Drawn[]} styles @param {Drawn[]} samples */
export function moreFold(settings, styles, samples) {
  const count = make("span", { class: "count" });
  const body = make("div", { class: "fold-body" });
  /** @type {Promise<import("./all-options.js").AllOptions> | null} */
  let fields = null;
  const draw = () => {
    const module = import("./all-options.js");
    fields ??= Promise.all([module, loadLaterWords()]).then(([{ allOptions }]) => {
      const drawn = allOptions(settings, styles, samples);
      fill(body, drawn.children);
      return drawn;
    });
    return fields;
  };
  const show = () => {
    const changed = Object.keys(settings.given).filter((name) => !OWN_CONTROL.has(name)).length;
    count.textContent = t("more.changed", { count: changed });
    count.hidden = changed === 0;
  };
  settings.addEventListener("changed", show);
  settings.addEventListener("refused", () => {
    for (const [name, words] of [...settings.faults].slice(0, 1)) showFault(name, words);
  });
  show();
  /** Says at a field what is wrong with it. @param {string | null} name @param {string} words */
  const showFault = async (name, words) => {
    const field = (await draw()).fields.get(String(name).replaceAll("-", "_"));
    if (!field) return;
    element.open = true;
    field.fault(words);
  };
  const element = make(
    "details",
    { ontoggle: draw },
    make("summary", {}, make("h2", {}, t("more.title")), count),
    body,
  );
  return { element, showFault };
}
