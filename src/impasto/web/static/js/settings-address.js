// @ts-check
// Reads settings from an address, which somebody may have mangled.
import { ELSEWHERE, ownOf, wholeRest } from "./settings.js";

/** @import {Settings} from "./settings.js" */
/** @import {Field, Region} from "./types.js" */

/** Options of which the host says how much may be asked for; another studio's link may say more. */
const HOSTS = new Set(["size", "evaluations"]);

/** Names in an address that are no options. */
const IN_ADDRESS = new Set(["photo", "style", "share", "region", "rest", "fine", "third"]);

/** Takes over what an address says. @param {Settings} settings @param {string} text its query */
export function readAddress(settings, text) {
  const query = new URLSearchParams(text);
  settings.refused = [];
  settings.own = "";
  settings.faults.clear();
  settings.photo = query.get("photo");
  const shares = query.getAll("share").map(Number);
  for (const share of query.getAll("share")) {
    if (!(Number(share) >= 0)) settings.refused.push(["style_weights", share]);
  }
  settings.paintings = query.getAll("style").map((source, index) => {
    const share = shares[index] ?? 1;
    return { source, share: share >= 0 ? share : 1 };
  });
  settings.regions = query.getAll("region").flatMap((region) => {
    const at = region.indexOf("~");
    const read = at > 0 ? readRegion(region.slice(0, at), region.slice(at + 1)) : null;
    if (read) return [read];
    settings.refused.push(["regions", region]);
    return [];
  });
  const rest = query.get("rest") ?? "";
  const read = readRegion(null, rest);
  if (!read) settings.refused.push(["regions", rest]);
  settings.rest = read ?? wholeRest();
  settings.fine = query.get("fine");
  settings.third = query.get("third");
  settings.given = {};
  for (const [name, text] of query) {
    if (IN_ADDRESS.has(name)) continue;
    const field = ELSEWHERE.has(name) ? undefined : entry(settings.options.schema.properties, name);
    const most = HOSTS.has(name) ? field?.maximum : undefined;
    if (most !== undefined && Number(text) > most) {
      settings.refused.push([name, `${text} → ${most}`]);
      settings.given[name] = most;
      continue;
    }
    const isPreset = name !== "preset" || entry(settings.options.presets, text) !== undefined;
    const value = field && isPreset ? readValue(field, text) : undefined;
    if (value === undefined) settings.refused.push([name, text]);
    else settings.given[name] = value;
  }
  settings.forgetWhatPresetSays();
  settings.changed();
}

/** @template T @param {Record<string, T>} values @param {string} name @returns {T | undefined} */
function entry(values, name) {
  return Object.hasOwn(values, name) ? values[name] : undefined;
}

/** What a text means as an option's value; `undefined` if nothing. @param {Field} field @param {string} text @returns {any} */
function readValue(field, text) {
  if (field.enum) return field.enum.includes(text) ? text : undefined;
  const kinds = [field, ...(field.anyOf ?? []).flatMap((one) => [one, ...(one.anyOf ?? [])])];
  const has = (/** @type {string} */ type) => kinds.some((one) => one.type === type);
  if (has("boolean")) return { true: true, false: false }[text];
  const ofNumbers = kinds.filter(({ type }) => type === "number" || type === "integer");
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) return has("string") && text ? text : undefined;
  if (ofNumbers.length === 0) return text;
  const holds = (/** @type {Field} */ one) =>
    value >= (one.minimum ?? value) &&
    value <= (one.maximum ?? value) &&
    value > (one.exclusiveMinimum ?? -Infinity) &&
    value < (one.exclusiveMaximum ?? Infinity) &&
    (one.type !== "integer" || Number.isInteger(value));
  return ofNumbers.some(holds) ? value : undefined;
}

/** @param {string | null} mask @param {string} text @returns {Region | null} none if it makes no sense */
function readRegion(mask, text) {
  const [styles = "", strength = "", ...rest] = text.split("~");
  const number = Number(strength || NaN);
  let own;
  try {
    own = ownOf(JSON.parse(rest.join("~") || "{}"));
  } catch {
    return null;
  }
  return {
    mask,
    keep: styles === "keep",
    styles: styles.split("+").map(Number).filter((style) => Number.isInteger(style) && style > 0),
    strength: number >= 0 && number <= 1 ? number : null,
    own,
  };
}
