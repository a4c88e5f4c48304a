// @ts-check
// How a picture was made: a table of its settings.
import { call } from "./api.js";
import { make } from "./elements.js";
import { requestNow } from "./job-request.js";
import { day, number, percent, sourceName, t } from "./words.js";

/** @import {Job, Progress} from "./types.js" */

/** @param {Job} job */
export function jobFacts(job) {
  const { progress: at, result } = job;
  const isStopped = job.state === "cancelled" && at;
  const { photo, styles, masks, options } = requestNow(job);
  const said = new Set([
    ...["regions", "style_weights"],
    ...(result ? ["size"] : []),
    ...(isStopped ? ["evaluations"] : []),
  ]);
  const settings = Object.entries(options).filter(([name, value]) => !said.has(name) && value !== null);
  const weights = styles.length > 1 ? (options.style_weights ?? styles.map(() => 1)) : [];
  const all = weights.reduce((/** @type {number} */ sum, /** @type {number} */ one) => sum + one, 0);
  const paintings = styles.map((source, i) =>
    make("div", {}, nameOf(source), weights.length > 0 && ` ${percent(weights[i] / all)}`),
  );
  /** @type {([string, string | HTMLElement | HTMLElement[]] | null | undefined | 0 | false)[]} */
  const rows = [
    [t("job.photo"), nameOf(photo)],
    [t("job.paintings"), paintings],
    result && [t("job.size"), t("job.pixels", { width: result.width, height: result.height })],
    ...settings.map(([name, value]) => fact(name, value)),
    isStopped && [t("options.evaluations.name"), stepsWords(at)],
    masks?.length && [t("regions.title"), t("regions.count", { count: masks.length })],
    [t("job.created"), day(job.created)],
  ];
  return make(
    "dl",
    { class: "facts" },
    rows.flatMap((row) => (row ? [make("dt", {}, row[0]), make("dd", {}, row[1])] : [])),
  );
}

/** A picture's name, which of one's own has to be asked for. @param {string} source */
function nameOf(source) {
  const element = make("span", {}, sourceName(source));
  if (source.includes(":")) return element;
  const own = call("GET", `/pictures/${encodeURIComponent(source)}`);
  own.then(
    ({ name }) => (element.textContent = sourceName(source, name)),
    () => {}, // It may be deleted by now.
  );
  return element;
}

/** @param {string} name @param {any} value @returns {[string, string]} */
function fact(name, value) {
  return [t(`options.${name}.name`, {}, name), valueWords(name, value)];
}

/** @param {Progress} at */
function stepsWords({ evaluations_done: done, levels }) {
  return t("job.steps", { done, all: levels.reduce((sum, { evaluations }) => sum + evaluations, 0) });
}

/** @param {string} name @param {any} value */
function valueWords(name, value) {
  if (typeof value === "boolean") return t(value ? "more.on" : "more.off");
  if (["strength", "color_strength"].includes(name)) return percent(value);
  if (name === "size") return `${number(value)} px`;
  if (name === "preset") return t(`presets.${value}.name`, {}, value);
  return t(`choices.${name}.${value}`, {}, String(value));
}
