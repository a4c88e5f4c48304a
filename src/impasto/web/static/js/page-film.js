// @ts-check
// A clip's own page: its newest frame, those that are finished, and the film.
import { announce } from "./announce.js";
import { call, pictureUrl } from "./api.js";
import { button, fill, icon, make, slider } from "./elements.js";
import { jobControls } from "./job-controls.js";
import { jobFacts } from "./job-facts.js";
import { jobState } from "./job-state.js";
import { jobTitle } from "./job-title.js";
import { jobName } from "./job-words.js";
import { go } from "./router.js";
import { isOver, watchJob } from "./watch.js";
import { faultWords, number, percent, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** @param {Job} first @returns {Promise<import("./main.js").Page>} */
export async function filmPage(first) {
  const { id } = first;
  let job = first;
  let drawn = "";
  let busy = false;
  /** Whether the newest frame is wanted, rather than one that was chosen. */
  let newest = true;
  let asked = "";
  let stop = () => {};

  const picture = make("img", { src: pictureUrl(first.request.photo, "view"), alt: "" });
  const stage = make("div", { class: "film" }, picture);
  const state = jobState();
  const fault = make("p", { class: "fault", role: "alert" });
  const controls = make("div", { class: "row" });
  const rest = make("div", { class: "rows" });
  const scrub = slider({
    name: t("clip.frame"),
    min: 1,
    max: 1,
    value: 1,
    say: (value) => number(value),
    oninput: (value) => {
      newest = value === Number(scrub.input.max);
      look();
    },
  });

  /** Shows the frame that is wanted; one question at a time. */
  const look = async () => {
    const { progress: at, state } = job;
    if (busy || job.result || !at?.frames_done) return;
    const live = newest && state === "running" && at.version != null;
    const address = live
      ? `live?side=1024&version=${at.version}`
      : `frames/${scrub.input.value}?side=1024`;
    if (address === asked) return;
    busy = true;
    asked = address;
    const next = make("img", { src: `/api/jobs/${id}/${address}` });
    try {
      await next.decode();
      picture.src = next.src;
    } catch {
      // The next one comes soon.
    }
    busy = false;
    look();
  };

  /** @param {string} method @param {string} path @param {object} [body] */
  const act = async (method, path, body) => {
    fill(fault);
    try {
      const found = await call(method, `/jobs/${id}${path}`, body);
      if (found?.id === id) show(found);
      return found ?? job;
    } catch (error) {
      fault.textContent = faultWords(error);
      return null;
    }
  };
  const follow = () => {
    stop();
    stop = watchJob(id, show, (error) => (fault.textContent = faultWords(error)));
  };
  const title = jobTitle((label) => act("PATCH", "", { label }));

  const remove = async () => {
    if (!(await act("DELETE", ""))) return;
    show({ ...job, deleted: job.deleted ?? Date.now() / 1000 });
    rest.querySelector("button")?.focus();
    announce(t("job.deleted"));
  };

  const showFilm = () => {
    const poster = `/api/jobs/${id}/view`;
    // Some browsers have no H.264, or only its plainest form, and few know Matroska.
    const giveUp = () => {
      picture.src = poster;
      fill(stage, picture, make("p", { class: "help" }, t("clip.unplayable")));
    };
    const film = make("video", {
      src: `/api/jobs/${id}/film`,
      poster,
      controls: true,
      playsinline: true,
      preload: "metadata",
      "aria-label": jobName(job),
      onerror: giveUp,
      // It may know the sound and not the frames.
      onloadedmetadata: () => film.videoWidth || giveUp(),
    });
    fill(stage, film);
  };

  const blocks = () => [
    job.result &&
      make(
        "a",
        { class: "button main-button", href: `/api/jobs/${id}/film`, download: true },
        icon("download"),
        t("job.download"),
      ),
    make(
      "section",
      { class: "block" },
      make("h2", {}, t("job.settings")),
      jobFacts(job),
      make(
        "div",
        { class: "row" },
        title.button(),
        isOver(job.state) && button("trash", t("gallery.delete"), remove, "plain-button"),
      ),
    ),
  ];

  /** @param {Job} now */
  function show(now) {
    job = now;
    const { progress: at } = job;
    const name = jobName(job);
    const share = job.state === "running" ? `${percent(at?.share ?? 0)} · ` : "";
    document.title = `${share}${name} – impasto`;
    picture.alt = t("job.live_alt", { name });
    state.show(job);
    const done = at?.frames_done ?? 0;
    scrub.element.hidden = done < 2 || isOver(job.state);
    scrub.input.max = String(Math.max(1, done));
    scrub.set(newest ? Math.max(1, done) : Number(scrub.input.value));
    look();
    const mark = JSON.stringify([job.state, job.wanted, job.deleted, name, job.result?.id]);
    if (mark === drawn) return;
    drawn = mark;
    title.show(job);
    if (job.result) showFilm();
    const onAgain = (/** @type {Job} */ again) => {
      if (again.id === id) follow();
      else go(`/job/${again.id}`);
    };
    fill(controls, jobControls(job, (path) => act("POST", path), onAgain));
    fill(
      rest,
      job.deleted
        ? [
            make("p", { class: "notice" }, t("job.deleted")),
            button("undo", t("gallery.undo"), () => act("POST", "/restore"), "main-button"),
          ]
        : blocks(),
    );
  }

  show(first);
  if (!isOver(first.state)) follow();
  return {
    title: jobName(first),
    element: make(
      "div",
      { class: "page job" },
      make("div", { class: "rows" }, stage, scrub.element, state.progress),
      make("div", { class: "rows" }, title.element, state.element, fault, controls, rest),
    ),
    leave: () => stop(),
  };
}
