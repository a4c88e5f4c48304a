// @ts-check
// A painting's own page: watch it form, steer it, compare, take it home, go on from it.
import { announce } from "./announce.js";
import { allOptions, call, pictureUrl, startJob } from "./api.js";
import { downloads } from "./downloads.js";
import { ask, button, fill, icon, make, newId, slider } from "./elements.js";
import { paperWords } from "./few-options.js";
import { livePicture, setPicture } from "./live-picture.js";
import { lossCurve } from "./loss-curve.js";
import { go } from "./router.js";
import { addressOf } from "./settings.js";
import { Viewer } from "./viewer.js";
import { isOver, watchJob } from "./watch.js";
import { day, faultWords, percent, pictureName, sourceName, span, t } from "./words.js";

/** @import {Job, Me} from "./types.js" */

/** Longest side of a result's view, px; looking closer takes the picture itself. */
const VIEW = 2048;

/** @param {Me} me @param {string} id @returns {Promise<import("./main.js").Page>} */
export async function jobPage(me, id) {
  const [options, first] = await Promise.all([allOptions(), call("GET", `/jobs/${id}`)]);
  /** @type {Job} */
  let job = first;
  const viewer = new Viewer();
  const live = livePicture(id, viewer);
  const curve = lossCurve();
  const fault = make("p", { class: "fault", role: "alert" });
  const title = make("h1");
  const state = make("p", { class: "big" });
  const more = make("p", { class: "quiet" });
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
  const controls = make("div", { class: "row" });
  const rest = make("div", { class: "rows" });
  const strength = slider({
    name: t("options.strength.name"),
    min: 0,
    max: 100,
    value: Math.round((job.strength ?? 1) * 100),
    say: (value) => percent(value / 100),
    help: t("job.strength_help"),
    onchange: (value) => act("PATCH", "", { strength: value / 100 }),
  });

  /**
   * Asks the server for a change of the job.
   * @param {string} method @param {string} path below the job's @param {object} [body]
   */
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

  const photoName = sourceName(job.request.photo);
  viewer.before.src = pictureUrl(job.request.photo, "view");
  viewer.before.alt = t("studio.photo_alt", { name: photoName });
  viewer.after.src = viewer.before.src;
  viewer.before.addEventListener("load", () => {
    if (!job.progress && !job.result) {
      viewer.setSize(viewer.before.naturalWidth, viewer.before.naturalHeight);
    }
  });

  let lastState = "";
  let tenth = 0;
  let said = "";
  let sharp = false;

  /** @param {Job} now */
  const show = (now) => {
    job = now;
    const changed = said !== `${job.state} ${job.wanted} ${job.deleted} ${job.label}`;
    said = `${job.state} ${job.wanted} ${job.deleted} ${job.label}`;
    const { progress: at, result } = job;
    const name = job.label || defaultName(job);
    const share = at?.share ?? 0;
    const going = !isOver(job.state);
    document.title = `${job.state === "running" ? `${percent(share)} · ` : ""}${name} – impasto`;
    progress.hidden = !going;
    progress.setAttribute("aria-valuenow", String(Math.round(share * 100)));
    bar.style.transform = `scaleX(${Math.max(0.01, share)})`;
    const words = stateWords(job);
    state.textContent = words.big;
    progress.setAttribute("aria-valuetext", `${words.big} ${words.small}`);
    more.textContent = [words.small, job.note].filter(Boolean).join(" ");
    viewer.element.classList.toggle("waiting", going && at?.version == null);
    if (result) viewer.setSize(result.width, result.height);
    else if (at?.width) viewer.setSize(at.width, at.height);
    if (!result) live.show(at?.version);
    if (at?.loss != null) curve.add(at.evaluations_done, at.loss);
    strength.element.hidden = !going;
    if (document.activeElement !== strength.input && job.strength != null) {
      strength.set(Math.round(job.strength * 100));
    }
    const now10 = Math.floor(share * 4);
    if (job.state === "running" && now10 > tenth) announce(`${words.big} ${words.small}`);
    tenth = now10;
    if (!changed) return;
    const focused = document.activeElement?.getAttribute("data-do");
    title.textContent = name;
    if (lastState && lastState !== job.state) announce(words.big);
    drawControls();
    drawRest();
    if (focused) {
      const again = controls.querySelector(`[data-do="${focused}"]`) ?? controls.querySelector("button");
      /** @type {HTMLElement | null} */ (again)?.focus();
    }
    if (!going && result && lastState !== job.state) showResult();
    viewer.after.alt = t(result ? "job.result_alt" : "job.live_alt", { name });
    if (lastState !== job.state && !going) loadLosses();
    lastState = job.state;
  };

  const showResult = async () => {
    live.stop();
    const picture = make("img", { src: `/api/jobs/${id}/view`, alt: "", draggable: "false" });
    try {
      await picture.decode();
    } catch {
      // Shown as it comes.
    }
    setPicture(viewer, picture);
    picture.alt = t("job.result_alt", { name: job.label || defaultName(job) });
    viewer.allowCompare(true);
    viewer.oncloser = async () => {
      const { width = 0, height = 0 } = job.result ?? {};
      if (sharp || Math.max(width, height) <= VIEW) return;
      sharp = true;
      const whole = make("img", { src: `/api/jobs/${id}/file?format=webp`, alt: "", draggable: "false" });
      try {
        await whole.decode();
        setPicture(viewer, whole);
      } catch {
        sharp = false;
      }
    };
  };

  const loadLosses = async () => {
    try {
      const found = await call("GET", `/jobs/${id}/losses`);
      curve.set(found.evaluation ?? [], found.loss ?? []);
    } catch {
      // The curve is no more than a help.
    }
  };

  /** @param {string} drawing @param {string} name @param {() => void} press @param {string} [kind] */
  const control = (drawing, name, press, kind) => {
    const made = button(drawing, t(`job.${name}`), press, kind);
    made.dataset.do = name;
    return made;
  };

  const drawControls = () => {
    const { state, wanted } = job;
    const going = !isOver(state);
    const pausing = going && (wanted === "pause" || state === "paused");
    fill(
      controls,
      going && !pausing && control("pause", "pause", () => act("POST", "/pause")),
      pausing && control("play", "resume", () => act("POST", "/resume"), "main-button"),
      going &&
        control("stop", "cancel", async () => {
          const sure = await ask(t("job.cancel_ask"), t("job.cancel_why"), t("job.cancel"), t("job.go_on"));
          if (sure) act("POST", "/cancel");
        }),
      ["failed", "set_aside", "cancelled"].includes(state) &&
        !job.deleted &&
        control(
          "again",
          "run_again",
          async () => {
            const again = await act("POST", "/again");
            if (!again) return;
            if (again.id === id) follow();
            else go(`/job/${again.id}`);
          },
          "main-button",
        ),
    );
  };

  const drawRest = () => {
    const { result } = job;
    const going = !isOver(job.state);
    if (job.deleted) {
      fill(
        rest,
        make("p", { class: "notice" }, t("job.deleted")),
        button("undo", t("gallery.undo"), () => act("POST", "/restore"), "main-button"),
      );
      return;
    }
    fill(
      rest,
      !going && result && downloads(job, options),
      make(
        "section",
        { class: "block" },
        make("h2", {}, t("job.go_from")),
        !going && result && larger(),
        make(
          "div",
          { class: "actions" },
          result &&
            make("a", { class: "button", href: `/?photo=${result.id}` }, icon("photo"), t("job.as_photo")),
          make("a", { class: "button", href: addressOf(job, options) }, icon("again"), t("job.with_other")),
        ),
        me.shared_gallery && !going && result && sharing(),
      ),
      make(
        "section",
        { class: "block" },
        make("h2", {}, t("job.settings")),
        facts(),
        curve.element,
        make(
          "div",
          { class: "row" },
          renaming(),
          !going &&
            button(
              "trash",
              t("gallery.delete"),
              async () => {
                if (await act("DELETE", "")) {
                  show({ ...job, deleted: job.deleted ?? Date.now() / 1000 });
                  rest.querySelector("button")?.focus();
                  announce(t("job.deleted"));
                }
              },
              "plain-button",
            ),
        ),
      ),
    );
  };

  /** Sizes to take the finished picture to. */
  const larger = () => {
    const nowSide = Math.max(job.result?.width ?? 0, job.result?.height ?? 0);
    const dpi = 300;
    const papers = options.papers
      .map((paper) => ({
        value: `print:${paper.name}`,
        words: paperWords(paper),
        side: Math.round((Math.max(paper.width_mm, paper.height_mm) / 25.4) * dpi),
      }))
      .toSorted((a, b) => a.side - b.side);
    const sizes = [1024, 2048, 4096].map((side) => ({
      value: `size:${side}`,
      words: t(`few.size_${side}`),
      side,
    }));
    const possible = [...sizes, ...papers].filter(
      ({ side }) => side > nowSide && side <= me.limits.max_size,
    );
    if (possible.length === 0) return null;
    const idOf = newId();
    const choice = make(
      "select",
      { id: idOf },
      possible.map(({ value, words }) => make("option", { value }, words)),
    );
    return make(
      "div",
      { class: "field" },
      make("label", { for: idOf }, t("job.larger")),
      make("p", { class: "help" }, t("job.larger_help")),
      choice,
      button("print", t("job.larger_go"), async () => {
        const [kind, value] = choice.value.split(":");
        const { size, print, ...others } = job.request.options;
        fill(fault);
        try {
          const made = await startJob({
            ...job.request,
            coarse: job.result?.id,
            label: job.label,
            options: kind === "print" ? { ...others, print: value } : { ...others, size: Number(value) },
          });
          go(`/job/${made.id}`);
        } catch (error) {
          fault.textContent = faultWords(error);
        }
      }),
    );
  };

  const sharing = () => {
    const box = make("input", {
      type: "checkbox",
      checked: job.shared,
      onchange: () => act("PATCH", "", { shared: box.checked }),
    });
    return make("label", { class: "tick" }, box, t("job.share"));
  };

  const renaming = () =>
    button(
      "",
      t("job.rename"),
      () => {
        const idOf = newId();
        const input = make("input", { id: idOf, type: "text", maxlength: 120, value: job.label ?? "" });
        const form = make(
          "form",
          {
            class: "title-field",
            onsubmit: async (/** @type {Event} */ event) => {
              event.preventDefault();
              await act("PATCH", "", { label: input.value.trim() });
              form.replaceWith(title);
              title.setAttribute("tabindex", "-1");
              title.focus();
            },
          },
          make("label", { class: "unseen", for: idOf }, t("job.name")),
          input,
          make("button", { type: "submit" }, t("job.save")),
        );
        title.replaceWith(form);
        input.select();
        input.focus();
      },
      "plain-button",
    );

  const facts = () => {
    const { request, result } = job;
    const said = new Set(["regions", "style_weights", ...(result ? ["size"] : [])]);
    /** @type {[string, string][]} */
    const rows = [
      [t("job.photo"), photoName],
      [t("job.paintings"), request.styles.map((source) => sourceName(source)).join(", ")],
      ...(result
        ? [/** @type {[string, string]} */ ([t("job.size"), t("job.pixels", { width: result.width, height: result.height })])]
        : []),
      ...Object.entries(request.options)
        .filter(([name, value]) => !said.has(name) && value !== null)
        .map(([name, value]) => /** @type {[string, string]} */ ([t(`options.${name}.name`, {}, name), valueWords(name, value)])),
      ...(request.masks?.length
        ? [/** @type {[string, string]} */ ([t("regions.title"), t("regions.count", { count: request.masks.length })])]
        : []),
      [t("job.created"), day(job.created)],
    ];
    return make(
      "dl",
      { class: "facts" },
      rows.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
    );
  };

  let stop = () => {};
  const follow = () => {
    stop();
    stop = watchJob(id, show, (error) => {
      fault.textContent = faultWords(error);
    });
  };
  show(job);
  loadLosses();
  if (!isOver(job.state)) follow();

  return {
    title: job.label || defaultName(job),
    element: make(
      "div",
      { class: "page job" },
      make("div", { class: "rows" }, viewer.element, progress),
      make(
        "div",
        { class: "rows" },
        title,
        make("div", { class: "state" }, state, more),
        fault,
        controls,
        strength.element,
        rest,
      ),
    ),
    leave: () => {
      stop();
      live.stop();
      viewer.close();
    },
  };
}

/** @param {Job} job */
export function defaultName(job) {
  const paintings = job.request.styles.map((source) => sourceName(source, t("studio.own_painting")));
  return pictureName(sourceName(job.request.photo), paintings);
}

/** @param {string} name @param {any} value */
function valueWords(name, value) {
  if (typeof value === "boolean") return t(value ? "more.on" : "more.off");
  if (["strength", "color_strength"].includes(name)) return percent(value);
  if (name === "preset") return t(`presets.${value}.name`, {}, value);
  return t(`choices.${name}.${value}`, {}, String(value));
}

/** @param {Job} job @returns {{big: string, small: string}} */
function stateWords(job) {
  const { progress: at } = job;
  const done = percent(at?.share ?? 0);
  if (job.wanted === "pause" && job.state === "running") return { big: t("job.pausing"), small: "" };
  if (job.wanted === "cancel" && !isOver(job.state)) return { big: t("job.cancelling"), small: "" };
  switch (job.state) {
    case "queued":
      return {
        big: job.place && job.place > 1 ? t("job.place", { count: job.place }) : t("job.next"),
        small: t("job.queued_help"),
      };
    case "running": {
      if (!at) return { big: t("job.begins"), small: "" };
      const left = at.remaining == null ? "" : t("job.left", { span: span(at.remaining) });
      const level = at.levels?.length
        ? t("job.level", { level: at.level + 1, count: at.levels.length, width: at.width, height: at.height })
        : "";
      return { big: t("job.running", { share: done }), small: [left, level].filter(Boolean).join(" · ") };
    }
    case "paused":
      return { big: t("job.paused", { share: done }), small: t("job.paused_help") };
    case "done":
      return {
        big: t("job.done"),
        small: at?.elapsed ? t("job.took", { span: span(at.elapsed) }) : "",
      };
    case "cancelled":
      return { big: t("job.cancelled"), small: "" };
    default:
      return {
        big: t(job.state === "failed" ? "job.failed" : "job.set_aside"),
        small: job.fault ? faultWords(job.fault) : "",
      };
  }
}
