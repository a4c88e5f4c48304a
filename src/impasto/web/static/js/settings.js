// @ts-check
// What a person has chosen: photo, paintings, regions and options. It can be written into an address,
// and becomes the request for a job. Defaults are left out everywhere.

/** @import {JobRequest, Options, Painting, Region} from "./types.js" */

/** The rest of the picture beside its regions. @returns {Region} */
export const wholeRest = () => ({ mask: null, keep: false, styles: [], strength: null, own: {} });

/** What a region may have beside what the page has fields for. */
const OF_REGION = ["shares", "scale", "color", "color_strength"];

/** Options that are set elsewhere than in a field of their own. */
export const ELSEWHERE = new Set(["style_weights", "regions"]);

export class Settings extends EventTarget {
  /** @type {string | null} */
  photo = null;
  /** @type {Painting[]} */
  paintings = [];
  /** @type {Region[]} */
  regions = [];
  /** @type {Region} */
  rest = wholeRest();
  /** A painting that lends its fine texture to all others. @type {string | null} */
  fine = null;
  /** The picture to begin with, where that is a third one. @type {string | null} */
  third = null;
  /** @type {Record<string, any>} */
  given = {};
  /** What of an address could not be taken: names and texts. @type {[string, string][]} */
  refused = [];
  /** Id of the visitor's own preset that was chosen, if any. */
  own = "";
  /** What is wrong with fields whose text is no value, by option. @type {Map<string, string>} */
  faults = new Map();

  /** @param {Options} options */
  constructor(options) {
    super();
    this.options = options;
  }

  /** Tells all who listen. @param {string} [what] name of an option, or photo, paintings, regions */
  changed(what = "") {
    this.dispatchEvent(new CustomEvent("changed", { detail: what }));
  }

  /** What stands in the way of using them, if anything; its field is shown then. */
  refusal() {
    this.dispatchEvent(new Event("refused"));
    return this.faults.values().next().value ?? "";
  }

  /** What an option is if nothing is set beside the preset. @param {string} name */
  base(name) {
    const preset = this.options.presets[this.given.preset ?? this.options.defaults.preset];
    const values = name === "preset" ? undefined : preset?.options;
    const value = values?.[name] ?? this.options.defaults[name];
    return value ?? null;
  }

  /** @param {string} name */
  value(name) {
    return name in this.given ? this.given[name] : this.base(name);
  }

  /** @param {string} name @param {any} value `null` where there is none */
  set(name, value) {
    if (value === null || String(value) === String(this.base(name))) delete this.given[name];
    else this.given[name] = value;
    if (name === "preset") this.forgetWhatPresetSays();
    this.faults.delete(name);
    this.changed(name);
  }

  /**
   * Goes over from one preset to another; what was set beside the first stays.
   * @param {Record<string, any>} from @param {Record<string, any>} to their options
   * @param {string} [own] id of the second, if it is the visitor's own
   */
  exchange(from, to, own) {
    const beside = Object.entries(this.kept()).filter(
      ([name, value]) => name !== "preset" && String(value) !== String(from[name]),
    );
    this.take({ ...to, ...Object.fromEntries(beside) }, own);
  }

  /**
   * Takes over the options of a preset in place of those that are set; pictures stay.
   * @param {Record<string, any>} options @param {string} [own] its id, if it is the visitor's own
   */
  take(options, own = "") {
    this.own = own;
    const { defaults, presets, schema } = this.options;
    const known = Object.entries(options).filter(
      ([name, value]) => schema.properties[name] && !ELSEWHERE.has(name) && value !== null,
    );
    this.given = Object.fromEntries(known);
    const { preset } = this.given;
    if (preset === defaults.preset || !(preset in presets)) delete this.given.preset;
    this.forgetWhatPresetSays();
    this.faults.clear();
    this.changed();
  }

  /** The options that differ from the defaults, as the server takes them. */
  kept() {
    const options = { ...this.given };
    // Without another choice of colours there is nothing that it could be the strength of.
    if (this.value("color") === "painting") delete options.color_strength;
    return options;
  }

  /** Whether anything is set beside a preset. */
  hasOwn() {
    return Object.keys(this.kept()).some((name) => name !== "preset");
  }

  /** Whether these options are what is set. @param {Record<string, any>} options */
  holds(options) {
    const other = new Settings(this.options);
    other.take(options);
    const text = (/** @type {Settings} */ one) =>
      JSON.stringify(Object.entries(one.kept()).map(([name, value]) => `${name}=${value}`).toSorted());
    return text(other) === text(this);
  }

  /** Leaves out what is as the preset has it. */
  forgetWhatPresetSays() {
    for (const [name, value] of Object.entries(this.given)) {
      if (name !== "preset" && String(value) === String(this.base(name))) delete this.given[name];
    }
  }

  /** The query of an address that brings these settings back. */
  query() {
    const query = new URLSearchParams();
    if (this.photo) query.append("photo", this.photo);
    for (const { source } of this.paintings) query.append("style", source);
    if (this.#hasShares()) for (const { share } of this.paintings) query.append("share", `${share}`);
    for (const region of this.regions) {
      if (region.mask) query.append("region", `${region.mask}~${regionText(region)}`);
    }
    if (this.regions.length > 0 && regionText(this.rest)) query.set("rest", regionText(this.rest));
    if (this.fine) query.set("fine", this.fine);
    if (this.third) query.set("third", this.third);
    for (const [name, value] of Object.entries(this.given)) query.append(name, String(value));
    return query.toString().replaceAll("%3A", ":").replaceAll("%2C", ",").replaceAll("%7E", "~");
  }

  /** Takes over what a job was asked for. @param {JobRequest} request */
  readRequest(request) {
    const { options } = request;
    const weights = options.style_weights ?? [];
    this.photo = request.photo;
    this.paintings = request.styles.map((source, i) => ({ source, share: weights[i] ?? 1 }));
    const masks = request.masks ?? [];
    const regions = Array.isArray(options.regions) ? options.regions : [];
    const read = (/** @type {any} */ one, /** @type {string | null} */ mask) => ({
      mask,
      keep: Boolean(one?.keep),
      styles: [...(one?.styles ?? [])],
      strength: one?.strength ?? null,
      own: this.#ofRegion(one ?? {}),
    });
    this.regions = masks.map((mask, i) => read(regions[i], mask));
    this.rest = read(regions[masks.length], null);
    if (this.rest.styles.length === this.paintings.length) this.rest.styles = [];
    this.fine = request.fine ?? null;
    this.third = request.start ?? null;
    this.given = Object.fromEntries(
      Object.entries(options).filter(([name, value]) => !ELSEWHERE.has(name) && value !== null),
    );
    this.forgetWhatPresetSays();
  }

  /** What a region of a job has of its own beside the shares that all paintings have. @param {any} one */
  #ofRegion(one) {
    const own = ownOf(one);
    const shares = (one.styles ?? []).map((/** @type {number} */ i) => this.paintings[i - 1]?.share);
    if (String(shares) === String(own.shares)) delete own.shares;
    return own;
  }

  #hasShares() {
    return this.paintings.some(({ share }) => share !== this.paintings[0]?.share);
  }

  /** What to ask the server for; there must be a photo and a painting. @returns {JobRequest} */
  request() {
    const options = this.kept();
    const regions = this.regions.filter((region) => region.mask);
    if (this.#hasShares()) options.style_weights = this.paintings.map(({ share }) => share);
    if (regions.length > 0) options.regions = [...regions, this.rest].map((one) => this.#asked(one));
    return {
      photo: this.photo ?? "",
      styles: this.paintings.map(({ source }) => source),
      masks: regions.map((region) => region.mask ?? ""),
      fine: this.fine,
      start: this.value("start") === "image" ? this.third : null,
      options,
    };
  }

  /** @param {Region} region */
  #asked(region) {
    if (region.keep) return { keep: true };
    const known = region.styles.filter((style) => style <= this.paintings.length);
    const styles = known.length > 0 ? known : this.paintings.map((_, index) => index + 1);
    const { shares: own, ...others } = region.own;
    const all = styles.map((style) => this.paintings[style - 1]?.share ?? 1);
    const shares = own?.length === styles.length ? own : this.#hasShares() ? all : null;
    return {
      styles,
      ...others,
      ...(styles.length > 1 && shares ? { shares } : {}),
      ...(region.strength === null ? {} : { strength: region.strength }),
    };
  }
}

/** @param {Region} region */
function regionText(region) {
  if (region.keep) return "keep";
  const own = Object.keys(region.own).length ? `~${JSON.stringify(region.own)}` : "";
  const strength = region.strength === null && !own ? "" : `~${region.strength ?? ""}`;
  return `${region.styles.join("+")}${strength}${own}`;
}

/** @param {Record<string, any>} values */
export function ownOf(values) {
  const has = (/** @type {any} */ value) => value != null && String(value) !== "";
  return Object.fromEntries(OF_REGION.filter((name) => has(values[name])).map((name) => [name, values[name]]));
}
