// @ts-check
// How a picture was made: a table of its settings.
import { make } from "./elements.js";
import { requestNow } from "./job-request.js";
import { day, percent, sourceName, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** @param {Job} job */
export function jobFacts(job) {
  const { result } = job;
  const { photo, styles, masks, options } = requestNow(job);
  const said = new Set(["regions", "style_weights", ...(result ? ["size"] : [])]);
  const settings = Object.entries(options).filter(([name, value]) => !said.has(name) && value !== null);
  /** @type {([string, string] | null | undefined | 0 | false)[]} */
  const rows = [
    [t("job.photo"), sourceName(photo)],
    [t("job.paintings"), styles.map((source) => sourceName(source)).join(", ")],
    result && [t("job.size"), t("job.pixels", { width: result.width, height: result.height })],
    ...settings.map(([name, value]) => fact(name, value)),
    masks?.length && [t("regions.title"), t("regions.count", { count: masks.length })],
    [t("job.created"), day(job.created)],
  ];
  return make(
    "dl",
    { class: "facts" },
    rows.flatMap((row) => (row ? [make("dt", {}, row[0]), make("dd", {}, row[1])] : [])),
  );
}

/** @param {string} name @param {any} value @returns {[string, string]} */
function fact(name, value) {
  return [t(`options.${name}.name`, {}, name), valueWords(name, value)];
}

/** @param {string} name @param {any} value */
function valueWords(name, value) {
  if (typeof value === "boolean") return t(value ? "more.on" : "more.off");
  if (["strength", "color_strength"].includes(name)) return percent(value);
  if (name === "preset") return t(`presets.${value}.name`, {}, value);
  return t(`choices.${name}.${value}`, {}, String(value));
}
