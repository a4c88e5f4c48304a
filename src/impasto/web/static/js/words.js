// @ts-check
// The page's words: one file per language. Numbers, dates and times follow the language too.

/** Languages that there are words in, with their own names. @type {Record<string, string>} */
export let languages = {};

/** @type {Record<string, any>} */
let texts = {};
/** @type {string} */
export let language = "en";

/** The language that was chosen here before, or the browser's first one that there is. */
function wanted() {
  let kept = null;
  try {
    kept = localStorage.getItem("language");
  } catch {
    // Storage may be forbidden.
  }
  const asked = [kept, ...navigator.languages].map((name) => String(name).slice(0, 2));
  return asked.find((name) => name in languages) ?? "en";
}

/** @param {string} file */
async function readTexts(file) {
  const answer = await fetch(`/static/texts/${file}.json`);
  if (!answer.ok) throw new Error(`the file of words ${file}.json is missing`);
  return answer.json();
}

/** Loads the words. @param {string} [name] */
export async function loadWords(name) {
  languages = await readTexts("languages");
  language = name ?? wanted();
  texts = await readTexts(language);
  document.documentElement.lang = language;
}

/** Loads the words that few visits need: of all settings, of masks, and about the studio. */
export async function loadLaterWords() {
  if (!texts.reasons) texts = { ...texts, ...(await readTexts(`later/${language}`)) };
}

/** Keeps a language for the next visit. @param {string} name */
export function keepLanguage(name) {
  try {
    localStorage.setItem("language", name);
  } catch {
    // Kept for this page only.
  }
}

/** @param {string} key @returns {string | Record<string, string> | undefined} */
function find(key) {
  /** @type {any} */
  let found = texts;
  for (const part of key.split(".")) found = found?.[part];
  return found;
}

/**
 * The words for a key. `{name}` in them is replaced; where there are forms for numbers, `count`
 * chooses.
 * @param {string} key such as "studio.start"
 * @param {Record<string, string | number>} [values]
 * @param {string} [otherwise] what to say where there are no words
 * @returns {string}
 */
export function t(key, values = {}, otherwise = key) {
  let found = find(key);
  if (found && typeof found === "object") {
    const form = new Intl.PluralRules(language).select(Number(values.count));
    found = found[form] ?? found.other;
  }
  if (typeof found !== "string") return otherwise;
  return found.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (value ?? "");
  });
}

/** @param {number} value @param {Intl.NumberFormatOptions} [how] */
export function number(value, how = { maximumFractionDigits: 2 }) {
  return new Intl.NumberFormat(language, how).format(value);
}

/** @param {number} share */
export function percent(share) {
  return new Intl.NumberFormat(language, { style: "percent" }).format(share);
}

/** @param {number} moment seconds since 1970 */
export function day(moment) {
  // In the way of the browser's own country, where that speaks the page's language.
  const here = navigator.languages.find((name) => name.split("-")[0] === language) ?? language;
  return new Intl.DateTimeFormat(here, { dateStyle: "medium", timeStyle: "short" }).format(
    new Date(moment * 1000),
  );
}

/** A span of time in words that do not jump about. @param {number} seconds */
export function span(seconds) {
  if (seconds < 8) return t("time.moment");
  if (seconds < 55) return t("time.seconds", { count: Math.ceil(seconds / 10) * 10 });
  if (seconds < 3300) return t("time.minutes", { count: Math.max(1, Math.round(seconds / 60)) });
  return t("time.hours", { count: Math.max(1, Math.round(seconds / 3600)) });
}

/** What went wrong, in the page's language. @param {any} error an ApiError, a Fault or an Error */
export function faultWords(error) {
  const message = String(error?.message ?? (typeof error === "string" ? error : ""));
  const code = error?.code ?? "unknown";
  const detail = reasonWords(error ?? {}) || named(message);
  return t(`errors.${code}`, { message: detail }, detail || t("errors.unknown"));
}

/** What is wrong with an option, where the server says it by a key. @param {any} error @returns {string} */
function reasonWords({ reason, field, values }) {
  if (!reason || !field) return "";
  const name = (/** @type {string} */ option) => t(`options.${option}.name`, {}, option);
  const other = values.other && name(values.other);
  return t(`reasons.${reason}`, { ...values, other, option: name(field) }, "");
}

/**
 * A message with the names that options have on the page in place of the command line's.
 * @param {string} message
 */
function named(message) {
  return message.replace(/--([a-z][a-z-]+)/g, (flag, name) => {
    const words = t(`options.${name.replaceAll("-", "_")}.name`, {}, "");
    return words ? t("more.quoted", { name: words }) : flag;
  });
}

/**
 * What a picture is called.
 * @param {string} source @param {string} [own] what to call one's own: the name of its file, say
 */
export function sourceName(source, own = "") {
  const [kind, name] = source.split(":");
  if (kind === "style") return t(`styles.${name}`, {}, name ?? source);
  if (kind === "sample") return t(`samples.${name}`, {}, name ?? source);
  return own.replace(/\.\w{2,5}$/, "") || t("studio.own");
}

/**
 * What a picture is called until somebody gives it another name.
 * @param {string} photo @param {string[]} paintings their names
 */
export function pictureName(photo, paintings) {
  return t("job.named", { photo, painting: paintings.join(" + ") });
}
