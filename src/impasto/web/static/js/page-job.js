// @ts-check
// A painting's own page: watch it form, steer it, compare, take it home, go on from it.
import { announce } from "./announce.js";
import { allOptions, call } from "./api.js";
import { downloads } from "./downloads.js";
import { button, fill, icon, make, slider } from "./elements.js";
import { jobControls } from "./job-controls.js";
import { jobFacts } from "./job-facts.js";
import { larger } from "./job-larger.js";
import { jobPicture } from "./job-picture.js";
import { addressOf, strengthNow } from "./job-request.js";
import { jobState } from "./job-state.js";
import { jobTitle } from "./job-title.js";
import { jobName } from "./job-words.js";
import { lossCurve } from "./loss-curve.js";
import { go } from "./router.js";
import { isOver, watchJob } from "./watch.js";
import { faultWords, loadLaterWords, percent, t } from "./words.js";

/** @import {Job, Me, Options} from "./types.js" */

/** @param {Me} me @param {string} id @returns {Promise<import("./main.js").Page>} */
export async function jobPage(me, id) {
  const [options, job] = await Promise.all([allOptions(), call("GET", `/jobs/${id}`)]);
  if (job.request.video) {
    const [{ filmPage }] = await Promise.all([import("./page-film.js"), loadLaterWords()]);
    return filmPage(job);
  }
  return new JobPage(me, options, job).page();
}

class JobPage {
  #stop = () => {};
  /** What was drawn last of all that does not change by the second. */
  #drawn = "";
  #lastState = "";

  /** @param {Me} me @param {Options} options @param {Job} job */
  constructor(me, options, job) {
    this.me = me;
    this.options = options;
    this.job = job;
    this.picture = jobPicture(job);
    this.state = jobState();
    this.title = jobTitle((label) => this.act("PATCH", "", { label }));
    this.curve = lossCurve();
    this.fault = make("p", { class: "fault", role: "alert" });
    this.controls = make("div", { class: "row" });
    this.rest = make("div", { class: "rows" });
    this.strength = slider({
      name: t("options.strength.name"),
      min: 0,
      max: 100,
      value: 100,
      say: (value) => percent(value / 100),
      help: t("job.strength_help"),
      onchange: (value) => this.act("PATCH", "", { strength: value / 100 }),
    });
  }

  /** @returns {import("./main.js").Page} */
  page() {
    this.show(this.job);
    if (!isOver(this.job.state)) this.#follow();
    return {
      title: jobName(this.job),
      element: make(
        "div",
        { class: "page job" },
        make("div", { class: "rows" }, this.picture.element, this.state.progress),
        make(
          "div",
          { class: "rows" },
          this.title.element,
          this.state.element,
          this.fault,
          this.controls,
          this.strength.element,
          this.rest,
        ),
      ),
      leave: () => {
        this.#stop();
        this.picture.leave();
      },
    };
  }

  /**
   * Asks the server for a change of the job.
   * @param {string} method @param {string} path below the job's @param {object} [body]
   * @returns {Promise<Job | null>} none if it was refused
   */
  async act(method, path, body) {
    fill(this.fault);
    try {
      const found = await call(method, `/jobs/${this.job.id}${path}`, body);
      if (found?.id === this.job.id) this.show(found);
      return found ?? this.job;
    } catch (error) {
      this.#fail(error);
      return null;
    }
  }

  /** @param {Job} job as it is now */
  show(job) {
    this.job = job;
    const { progress: at, state } = job;
    const name = jobName(job);
    const share = state === "running" ? `${percent(at?.share ?? 0)} · ` : "";
    document.title = `${share}${name} – impasto`;
    this.picture.show(job);
    this.state.show(job);
    if (at?.loss != null) this.curve.add(at.evaluations_done, at.loss);
    this.strength.element.hidden = isOver(state);
    if (document.activeElement !== this.strength.input) {
      this.strength.set(Math.round(strengthNow(job, this.options) * 100));
    }
    const drawn = JSON.stringify([state, job.wanted, job.deleted, jobName(job), job.strength]);
    if (this.#drawn === drawn) return;
    this.#drawn = drawn;
    this.title.show(job);
    this.#drawControls();
    fill(this.rest, job.deleted ? this.#wayBack() : this.#blocks());
    if (this.#lastState !== state && (isOver(state) || !this.#lastState)) this.#loadLosses();
    this.#lastState = state;
  }

  /** @param {any} error */
  #fail(error) {
    this.fault.textContent = faultWords(error);
  }

  #follow() {
    this.#stop();
    this.#stop = watchJob(
      this.job.id,
      (job) => this.show(job),
      (error) => this.#fail(error),
    );
  }

  async #loadLosses() {
    try {
      const found = await call("GET", `/jobs/${this.job.id}/losses`);
      this.curve.set(found.evaluation ?? [], found.loss ?? []);
    } catch {
      // The curve is no more than a help.
    }
  }

  #drawControls() {
    const focused = this.controls.querySelector(":focus")?.getAttribute("data-do");
    const onAgain = (/** @type {Job} */ again) => {
      if (again.id === this.job.id) this.#follow();
      else go(`/job/${again.id}`);
    };
    fill(this.controls, jobControls(this.job, (path) => this.act("POST", path), onAgain));
    if (focused) {
      const again = this.controls.querySelector(`[data-do="${focused}"]`);
      /** @type {HTMLElement | null} */ (again ?? this.controls.querySelector("button"))?.focus();
    }
  }

  #wayBack() {
    return [
      make("p", { class: "notice" }, t("job.deleted")),
      button("undo", t("gallery.undo"), () => this.act("POST", "/restore"), "main-button"),
    ];
  }

  #blocks() {
    const { job, me, options } = this;
    const { result } = job;
    const isFinished = isOver(job.state) && result;
    return [
      isFinished && downloads(job, options),
      make(
        "section",
        { class: "block" },
        make("h2", {}, t("job.go_from")),
        isFinished && larger(job, options, me.limits.max_size, (error) => this.#fail(error)),
        make(
          "div",
          { class: "actions" },
          result &&
            make("a", { class: "button", href: `/?photo=${result.id}` }, icon("photo"), t("job.as_photo")),
          make("a", { class: "button", href: addressOf(job, options) }, icon("again"), t("job.with_other")),
        ),
        me.shared_gallery && isFinished && this.#sharing(),
      ),
      make(
        "section",
        { class: "block" },
        make("h2", {}, t("job.settings")),
        jobFacts(job),
        this.curve.element,
        make("div", { class: "row" }, this.title.button(), isOver(job.state) && this.#deletion()),
      ),
    ];
  }

  #sharing() {
    const box = make("input", {
      type: "checkbox",
      checked: this.job.shared,
      onchange: () => this.act("PATCH", "", { shared: box.checked }),
    });
    return make("label", { class: "tick" }, box, t("job.share"));
  }

  #deletion() {
    const remove = async () => {
      if (!(await this.act("DELETE", ""))) return;
      this.show({ ...this.job, deleted: this.job.deleted ?? Date.now() / 1000 });
      this.rest.querySelector("button")?.focus();
      announce(t("job.deleted"));
    };
    return button("trash", t("gallery.delete"), remove, "plain-button");
  }
}
