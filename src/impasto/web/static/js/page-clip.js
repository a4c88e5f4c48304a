// @ts-check
// A clip to paint: choose it, a painting, a size, and start.
import { announce } from "./announce.js";
import { drawnStyles, pictures, startJob, upload } from "./api.js";
import { fill, icon, make, newId, slider } from "./elements.js";
import { fileButton } from "./file-button.js";
import { thumb } from "./own-thumb.js";
import { go } from "./router.js";
import { faultWords, loadLaterWords, number, percent, pictureName, sourceName, t } from "./words.js";

/** @import {Me, Picture} from "./types.js" */

/** What files may be chosen; the server looks at their contents anyway. */
const ACCEPT = "video/*,image/gif,image/webp,.mkv";
/** Long sides to choose from, px. */
const SIZES = [256, 384, 512, 720, 1024];
/** Letters that a picture's name may have. */
const LONGEST = 120;

/** @param {Me} me @returns {Promise<import("./main.js").Page>} */
export async function clipPage(me) {
  await loadLaterWords();
  const title = t("clip.title");
  if (!me.clips) {
    return {
      title,
      element: make(
        "div",
        { class: "page narrow" },
        make("h1", {}, title),
        make("p", { class: "notice" }, t("clip.none")),
      ),
    };
  }
  const [styles, paintings, clips] = await Promise.all([
    drawnStyles(),
    pictures("style"),
    pictures("clip"),
  ]);
  const isReady = (/** @type {Picture} */ one) => one.state === "ready" && !one.deleted;
  let own = clips.filter(isReady);
  const mine = paintings.filter(isReady);
  /** @type {Picture | undefined} */
  let clip = own[0];
  let style = "style:night-sky";

  const shown = make("div", { class: "row" });
  const fault = make("p", { class: "fault", role: "alert" });
  const status = make("p", { class: "help", role: "status" });

  const show = () => {
    fill(
      shown,
      own.map((one) =>
        thumb({
          source: one.id,
          name: sourceName(one.id, one.name),
          type: "radio",
          group: "clip",
          isChosen: one === clip,
          isNamed: true,
          choose: () => (clip = one),
        }),
      ),
    );
  };
  const take = async (/** @type {File[]} */ [file]) => {
    if (!file) return;
    fill(fault);
    try {
      clip = await upload("clip", file, file.name, (share) => {
        status.textContent =
          share < 1 ? t("studio.sending", { share: percent(share) }) : t("clip.reading");
      });
      own = [clip, ...own];
      show();
      announce(t("clip.there", { name: sourceName(clip.id, clip.name) }));
    } catch (error) {
      fault.textContent = faultWords(error);
    }
    status.textContent = "";
  };

  const name = (/** @type {string} */ source) =>
    sourceName(source, mine.find((one) => one.id === source)?.name);
  const sources = [...mine.map((one) => one.id), ...styles.map((one) => `style:${one.name}`)];
  const faces = sources.map((source) =>
    thumb({
      source,
      name: name(source),
      type: "radio",
      group: "painting",
      isChosen: source === style,
      isNamed: true,
      choose: () => (style = source),
    }),
  );
  const id = newId();
  const size = make(
    "select",
    { id: `${id}-size` },
    SIZES.filter((one) => one <= me.limits.max_size).map((one) =>
      make("option", { value: one, selected: one === 512 }, `${number(one)} px`),
    ),
  );
  const engine = make(
    "select",
    { id: `${id}-engine`, "aria-describedby": `${id}-help` },
    ["network", "optimizer"].map((one) => make("option", { value: one }, t(`clip.${one}`))),
  );
  const strength = slider({
    name: t("options.strength.name"),
    min: 0,
    max: 100,
    value: 100,
    say: (value) => percent(value / 100),
  });
  const start = make(
    "button",
    { type: "submit", class: "main-button" },
    icon("brush"),
    t("studio.start"),
  );

  const submit = async (/** @type {Event} */ event) => {
    event.preventDefault();
    fill(fault);
    if (!clip) {
      fault.textContent = t("clip.needs_clip");
      return;
    }
    start.disabled = true;
    try {
      const job = await startJob({
        photo: clip.id,
        styles: [style],
        video: { engine: engine.value === "optimizer" ? "optimizer" : "network" },
        options: { size: Number(size.value), strength: Number(strength.input.value) / 100 },
        title: pictureName(sourceName(clip.id, clip.name), [name(style)]).slice(0, LONGEST),
      });
      go(`/job/${job.id}`);
    } catch (error) {
      fault.textContent = faultWords(error);
    } finally {
      start.disabled = false;
    }
  };
  show();
  return {
    title,
    element: make(
      "form",
      { class: "page narrow rows", novalidate: true, onsubmit: submit },
      make("h1", {}, title),
      make(
        "p",
        { class: "quiet" },
        t("clip.help", {
          seconds: me.limits.clip_seconds,
          megabytes: Math.floor(me.limits.clip_bytes / 1e6),
        }),
      ),
      make(
        "div",
        { class: "row" },
        fileButton({ words: t("clip.choose"), take, kind: "main-button", accept: ACCEPT }),
        status,
      ),
      make("fieldset", {}, make("legend", { class: "unseen" }, t("clip.clips")), shown),
      make("h2", {}, t("studio.painting")),
      make(
        "fieldset",
        {},
        make("legend", { class: "unseen" }, t("studio.painting")),
        make("div", { class: "thumbs" }, faces),
      ),
      strength.element,
      make("div", { class: "field" }, make("label", { for: size.id }, t("options.size.name")), size),
      make(
        "div",
        { class: "field" },
        make("label", { for: engine.id }, t("clip.engine")),
        engine,
        make("p", { class: "help", id: `${id}-help` }, t("clip.engine_help")),
      ),
      make("div", {}, fault, start),
    ),
  };
}
