// @ts-check
// Where a job stands: a bar, words, and what is read out now and then.
import { announce } from "./announce.js";
import { fill, make } from "./elements.js";
import { stateWords } from "./job-words.js";
import { isOver } from "./watch.js";
import { loadLaterWords, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** How often a run's progress is read out. */
const TIMES = 4;

export function jobState() {
  const big = make("p", { class: "big" });
  const small = make("p", { class: "quiet" });
  const bar = make("div");
  const progress = make(
    "div",
    {
      class: "brushbar",
      role: "progressbar",
      "aria-label": t("job.progress"),
      "aria-valuemin": 0,
      "aria-valuemax": 100,
    },
    bar,
  );
  let lastState = "";
  let lastPart = 0;
  /** @type {Job | undefined} */
  let shown;

  /** Says how it goes, and what there is to note; whether there are words for that. @param {Job} job */
  const tell = (job) => {
    const { note } = job;
    const words = note && t(`notes.${note.code}`, {}, "");
    // What has no words here is said as the server says it: in English.
    const told = words || (note && make("span", { lang: "en" }, note.message));
    fill(small, stateWords(job).small, " ", told);
    return !note || !!words;
  };

  /** @param {Job} job */
  const show = (job) => {
    const share = job.progress?.share ?? 0;
    const words = stateWords(job);
    progress.hidden = isOver(job.state);
    progress.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    progress.setAttribute("aria-valuetext", `${words.big} ${words.small}`);
    bar.style.transform = `scaleX(${Math.max(0.01, share)})`;
    if (big.textContent !== words.big) big.textContent = words.big;
    shown = job;
    if (!tell(job)) {
      // Few jobs have a note.
      loadLaterWords().then(
        () => shown === job && tell(job),
        () => {},
      );
    }
    const part = Math.floor(share * TIMES);
    if (job.state === "running" && part > lastPart) announce(`${words.big} ${words.small}`);
    lastPart = part;
    if (lastState && lastState !== job.state) announce(words.big);
    lastState = job.state;
  };
  return { progress, element: make("div", { class: "state" }, big, small), show };
}
