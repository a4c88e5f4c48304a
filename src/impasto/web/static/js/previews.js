// @ts-check
// Quick previews: the photo in each style on the paintings' tiles, and on the easel as it is set now.
// Everything works without them; whatever fails here is no more than said.
import { drawnStyles } from "./api.js";
import { addStyles, make } from "./elements.js";
import { loadLaterWords, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Me} from "./types.js" */

/** The side of a sheet's tiles, px, and how many are in a row, as the server makes them. */
const TILE = 192;
const COLUMNS = 6;
/** Most own paintings that are shown on a sheet. */
const MOST_OWN = 36;
/** Long sides that are asked for, px: for a small easel and for a large one. */
const SIDES = [384, 512];
/** Milliseconds before a sheet that could not be had is asked for again, and how often. */
const PAUSE = 3000;
const TRIES = 3;
/** Refusals that may pass: the network failed (0), a picture is not read yet, too many ask, there is
 * none just now. */
const PASSING = [0, 409, 429, 503];
/** Milliseconds before the easel asks again, twice as many each time, and how often it asks. */
const FIRST_PAUSE = 750;
const EASEL_TRIES = 5;

/**
 * @param {Settings} settings
 * @param {Me} me
 * @param {{canvas: HTMLElement, note: HTMLElement}} easel where the photo is, and what is said below
 * @param {HTMLElement} panel holds the paintings' tiles
 * @returns {Promise<{end: () => void, canRefine: () => boolean}>} what ends it, and whether a job can
 * begin with its preview
 */
export async function showPreviews(settings, me, easel, panel) {
  await Promise.all([addStyles("previews"), loadLaterWords()]);
  const ends = [tilePreviews(settings, me, panel), easelPreview(settings, me, easel)];
  const canRefine = () => {
    const isBuiltIn = settings.paintings.every(({ source }) => source.startsWith("style:"));
    const isUsual = settings.value("start") === settings.options.defaults.start;
    return me.previews.refine && isUsual && (isBuiltIn || me.previews.any);
  };
  return { end: () => ends.forEach((end) => end()), canRefine };
}

/** @param {number} wait milliseconds */
const pause = (wait) => new Promise((resolve) => setTimeout(resolve, wait));

// --- the tiles ------------------------------------------------------------------------------------

/** @param {Settings} settings @param {Me} me @param {HTMLElement} panel @returns {() => void} */
function tilePreviews(settings, me, panel) {
  /** @type {Map<string, {sheet: HTMLImageElement, place: number}>} by painting */
  const faces = new Map();
  /** Own paintings that were asked for. */
  const asked = new Set();
  let photo = /** @type {string | null} */ (null);
  let isOver = false;

  /** @param {HTMLInputElement} input */
  const dress = (input) => {
    const picture = input.parentElement?.querySelector("img");
    const face = faces.get(input.value);
    if (!picture || !face || picture.nextElementSibling?.tagName === "CANVAS") return;
    const { sheet, place } = face;
    const canvas = make("canvas", { width: TILE, height: TILE, "aria-hidden": "true" });
    const [x, y] = [(place % COLUMNS) * TILE, Math.floor(place / COLUMNS) * TILE];
    canvas.getContext("2d")?.drawImage(sheet, x, y, TILE, TILE, 0, 0, TILE, TILE);
    picture.after(canvas);
  };
  const inputs = () =>
    /** @type {HTMLInputElement[]} */ ([...panel.querySelectorAll(".thumb > input")]);
  const dressAll = () => {
    for (const input of inputs()) dress(input);
    askOwn();
  };
  const undress = () => {
    for (const canvas of panel.querySelectorAll(".thumb > canvas")) canvas.remove();
  };

  /**
   * A sheet, once it can be drawn at once; none where it cannot be had, or the photo is another.
   * @param {string[]} [sources] by default all built-in styles
   */
  const load = async (sources = []) => {
    const of = photo;
    const query = new URLSearchParams([["photo", of ?? ""], ...sources.map((one) => ["style", one])]);
    for (let left = TRIES; left > 0 && photo === of && !isOver; left--) {
      const sheet = new Image();
      sheet.src = `/api/previews/sheet?${query}`;
      try {
        await sheet.decode();
        return photo === of ? sheet : null;
      } catch {
        if (left > 1) await pause(PAUSE);
      }
    }
    return null;
  };

  const askOwn = async () => {
    if (!me.previews.any || !photo) return;
    const mine = inputs()
      .map((input) => input.value)
      .filter((source) => !source.includes(":") && !asked.has(source))
      .slice(0, MOST_OWN);
    if (mine.length === 0) return;
    for (const source of mine) asked.add(source);
    const of = photo;
    const sheet = await load(mine);
    if (!sheet) {
      // Asked for again with the next choice; those of another photo were asked for anew.
      if (photo === of) for (const source of mine) asked.delete(source);
      return;
    }
    mine.forEach((source, place) => faces.set(source, { sheet, place }));
    dressAll();
  };

  const begin = async () => {
    if (settings.photo === photo) return;
    photo = settings.photo;
    asked.clear();
    // Those of the photo before stay until there are others: nothing flickers.
    const [sheet, styles] = photo ? await Promise.all([load(), drawnStyles()]) : [null, []];
    if (photo !== settings.photo || isOver) return;
    faces.clear();
    undress();
    asked.clear();
    if (!sheet) return;
    styles.forEach(({ name }, place) => faces.set(`style:${name}`, { sheet, place }));
    dressAll();
  };

  // Tiles are drawn anew with every choice; this comes before they are seen.
  const observer = new MutationObserver(dressAll);
  observer.observe(panel, { childList: true, subtree: true });
  settings.addEventListener("changed", begin);
  begin();
  return () => {
    isOver = true;
    settings.removeEventListener("changed", begin);
    observer.disconnect();
  };
}

// --- the easel ------------------------------------------------------------------------------------

/**
 * @param {Settings} settings
 * @param {Me} me
 * @param {{canvas: HTMLElement, note: HTMLElement}} easel
 * @returns {() => void}
 */
function easelPreview(settings, me, { canvas, note }) {
  const layer = make("div", { class: "quick" });
  const words = make("span", { class: "help", role: "status" });
  const box = make("input", {
    type: "checkbox",
    checked: true,
    onchange: () => {
      place();
      ask();
    },
  });
  note.replaceChildren(
    make("label", { class: "tick" }, box, make("span", { class: "name" }, t("preview.show"))),
    words,
  );
  let isOver = false;
  let busy = false;
  /** What is shown was asked for by this; "" is none. */
  let shown = "";
  /** The photo that it shows. */
  let photo = settings.photo;
  let url = "";

  /** @param {string} said */
  const say = (said) => {
    if (words.textContent !== said) words.textContent = said;
  };
  /** @param {string} said */
  const clear = (said) => {
    layer.replaceChildren();
    layer.remove();
    shown = "";
    say(said);
  };

  /** What to ask for now; "" where something is missing. */
  const wanted = () => {
    if (!settings.photo || settings.paintings.length === 0) return "";
    return JSON.stringify(settings.request());
  };

  /** Puts the layer over the photo, in its very place. */
  const place = () => {
    const below = canvas.querySelector(":scope > img");
    const isSeen = box.checked && layer.firstChild && below;
    if (!isSeen) layer.remove();
    else if (layer.previousElementSibling !== below) below.after(layer);
  };

  /** Shows a preview, unless the photo is another by then. @param {Blob} blob @param {string} of */
  const put = async (blob, of) => {
    const next = URL.createObjectURL(blob);
    const picture = make("img", { src: next, alt: t("preview.alt"), draggable: "false" });
    const below = /** @type {HTMLImageElement | null} */ (canvas.querySelector(":scope > img"));
    await Promise.all([picture.decode(), below?.decode().catch(() => {})]);
    if (of !== settings.photo) {
      URL.revokeObjectURL(next);
      return;
    }
    const ratio = below?.naturalWidth ? below.naturalWidth / below.naturalHeight : 1;
    const own = picture.naturalWidth / picture.naturalHeight;
    layer.style.setProperty("--ratio", String(ratio));
    // What fills a sheet of paper has another shape; else it is rounding.
    layer.classList.toggle("cut", Math.abs(own / ratio - 1) > 0.02);
    layer.replaceChildren(picture);
    URL.revokeObjectURL(url);
    url = next;
    place();
  };

  /**
   * @param {string} text
   * @returns {Promise<Blob | number | "superseded">} the picture, or the status of a refusal
   */
  const get = async (text) => {
    const side = SIDES[canvas.clientWidth * devicePixelRatio > 420 ? 1 : 0];
    const answer = await fetch(`/api/previews?side=${side}`, {
      method: "POST",
      headers: { "Content-Type": "application/json", "X-Impasto-CSRF": me.csrf },
      body: text,
    });
    if (answer.ok) return answer.blob();
    const { detail } = await answer.json().catch(() => ({}));
    return detail?.code === "superseded" ? "superseded" : answer.status;
  };

  // One at a time, and always the newest wish.
  const ask = async () => {
    if (busy || !box.checked) return;
    busy = true;
    let tries = 0;
    let tried = "";
    for (let text = wanted(); !isOver && box.checked && text !== shown; text = wanted()) {
      if (!text) break;
      if (text !== tried) [tries, tried] = [0, text];
      if (!layer.firstChild) say(t("preview.coming"));
      const of = settings.photo;
      /** @type {Blob | number | "superseded"} */
      let found = 0;
      try {
        found = await get(text);
        if (found instanceof Blob) await put(found, of ?? "");
      } catch {
        found = 0;
      }
      if (found instanceof Blob) {
        shown = text;
        if (of === settings.photo) say(t("preview.shown"));
      } else if (found === "superseded") await pause(PAUSE / 10);
      else {
        clear(t("preview.none"));
        tries += 1;
        if (PASSING.includes(found) && tries < EASEL_TRIES) {
          await pause(FIRST_PAUSE * 2 ** (tries - 1));
        } else shown = text;
      }
    }
    busy = false;
  };

  const changed = () => {
    if (settings.photo !== photo) {
      photo = settings.photo;
      clear("");
    }
    if (!wanted()) clear(t("preview.choose"));
    place();
    ask();
  };
  settings.addEventListener("changed", changed);
  changed();
  return () => {
    isOver = true;
    settings.removeEventListener("changed", changed);
    URL.revokeObjectURL(url);
  };
}
