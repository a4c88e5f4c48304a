// @ts-check
// One's own pictures, with search, delete and undo; and those that everybody shows.
import { announce } from "./announce.js";
import { call } from "./api.js";
import { dialogHead } from "./dialog-head.js";
import { button, fill, icon, make, newId } from "./elements.js";
import { jobName } from "./job-words.js";
import { setAddress } from "./router.js";
import { isOver } from "./watch.js";
import { day, faultWords, percent, sourceName, t } from "./words.js";

/** @import {Job, Shared} from "./types.js" */

/** Milliseconds between two looks at a job that is under way. */
const LOOK = 2000;

/** @returns {Promise<import("./main.js").Page>} */
export async function galleryPage() {
  const id = newId();
  const search = make("input", {
    id,
    type: "search",
    value: new URLSearchParams(location.search).get("search") ?? "",
    autocomplete: "off",
  });
  const wall = pictureWall((before) => {
    const query = new URLSearchParams({ limit: "24" });
    if (search.value.trim()) query.set("search", search.value.trim());
    if (before) query.set("before", before);
    return `/jobs?${query}`;
  }, ownWork);
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    const words = search.value.trim();
    setAddress(words ? `/gallery?search=${encodeURIComponent(words)}` : "/gallery");
    wall.load(words ? t("gallery.none") : t("gallery.empty"), true);
  };
  search.addEventListener("input", () => {
    clearTimeout(timer);
    timer = window.setTimeout(look, 300);
  });
  await wall.load(search.value ? t("gallery.none") : t("gallery.empty"), false);
  const hasNone = !search.value && wall.isEmpty();
  return {
    title: t("frame.gallery"),
    element: make(
      "div",
      { class: "page" },
      make(
        "div",
        { class: "gallery-head" },
        make("h1", {}, t("frame.gallery")),
        make(
          "form",
          {
            role: "search",
            class: "field",
            onsubmit: (/** @type {Event} */ event) => {
              event.preventDefault();
              look();
            },
          },
          make("label", { for: id }, t("gallery.search")),
          search,
        ),
        make(
          "a",
          { class: "button", href: "/api/archive", download: true, hidden: hasNone },
          icon("download"),
          t("gallery.all"),
        ),
      ),
      wall.element,
    ),
    leave: () => clearTimeout(timer),
  };
}

/** @returns {Promise<import("./main.js").Page>} */
export async function sharedPage() {
  const wall = pictureWall(
    (before) => `/shared${before ? `?before=${encodeURIComponent(before)}` : ""}`,
    sharedWork,
  );
  await wall.load(t("gallery.none_shared"), false);
  return {
    title: t("frame.shared"),
    element: make(
      "div",
      { class: "page" },
      make("h1", {}, t("frame.shared")),
      make("p", { class: "quiet" }, t("gallery.shared_help")),
      wall.element,
    ),
  };
}

/**
 * @template Work
 * @param {(before: string) => string} address of a part of the list
 * @param {(work: Work) => HTMLElement} work what is shown of one
 */
function pictureWall(address, work) {
  const list = make("ul", { class: "wall" });
  const note = make("p", { class: "quiet" });
  const fault = make("p", { class: "fault", role: "alert" });
  const next = make("div", { class: "row" });
  let turn = 0;
  /** @param {string} before @param {string} none @param {boolean} aloud */
  const add = async (before, none, aloud) => {
    const mine = ++turn;
    fill(fault);
    try {
      const found = await call("GET", address(before));
      if (mine !== turn) return;
      const works = /** @type {Work[]} */ (found.jobs);
      const items = works.map((one) => make("li", {}, work(one)));
      if (before) {
        list.append(...items);
        items[0]?.querySelector("a")?.focus();
      } else fill(list, items);
      const count = list.children.length;
      note.textContent = count ? "" : none;
      if (aloud) announce(count ? t("gallery.found", { count }) : none);
      fill(next, found.next && button("", t("gallery.more"), () => add(found.next, none, false)));
    } catch (error) {
      fault.textContent = faultWords(error);
    }
  };
  return {
    element: make("div", { class: "rows" }, fault, note, list, next),
    isEmpty: () => list.children.length === 0,
    /** @param {string} none what to say if there is nothing @param {boolean} aloud */
    load: (none, aloud) => add("", none, aloud),
  };
}

/** @param {string} id of a finished job @param {string} name */
function thumb(id, name) {
  const blank = make("span", { class: "blank" }, t("gallery.no_thumb"));
  return make("img", {
    src: `/api/jobs/${id}/thumb`,
    alt: t("job.result_alt", { name }),
    loading: "lazy",
    onerror: (/** @type {Event} */ event) =>
      /** @type {HTMLElement} */ (event.target).replaceWith(blank),
  });
}

/** @param {Job} job */
function stateName(job) {
  const words = t(`states.${job.state}`);
  return job.state === "running" ? `${words} · ${percent(job.progress?.share ?? 0)}` : words;
}

/** @param {Job} job */
function ownWork(job) {
  const name = jobName(job);
  const address = `/job/${job.id}`;
  const fault = make("p", { class: "fault", role: "alert" });
  const over = isOver(job.state);
  const remove = make(
    "button",
    {
      type: "button",
      class: "icon-button plain-button",
      "aria-label": t("gallery.delete_name", { name }),
      title: t("gallery.delete"),
      onclick: async () => {
        try {
          await call("DELETE", `/jobs/${job.id}`);
        } catch (error) {
          fault.textContent = faultWords(error);
          return;
        }
        const undo = button("undo", t("gallery.undo"), async () => {
          try {
            await call("POST", `/jobs/${job.id}/restore`);
          } catch (error) {
            undo.after(make("p", { class: "fault", role: "alert" }, faultWords(error)));
            return;
          }
          gone.replaceWith(element);
          remove.focus();
          announce(t("gallery.restored", { name }));
        });
        const gone = make(
          "div",
          { class: "work gone" },
          make("p", {}, t("gallery.deleted", { name })),
          undo,
        );
        element.replaceWith(gone);
        undo.focus();
        announce(t("gallery.deleted", { name }));
      },
    },
    icon("trash"),
  );
  const element = make(
    "article",
    { class: "work" },
    make("a", { href: address, tabindex: -1, "aria-hidden": "true" }, job.result ? thumb(job.id, name) : make("span", { class: "blank" }, stateName(job))),
    make(
      "div",
      { class: "label" },
      make(
        "div",
        {},
        make("h2", {}, make("a", { href: address }, name)),
        make("p", { class: "help" }, `${stateName(job)} · ${day(job.created)}`),
        fault,
      ),
      over && remove,
    ),
  );
  if (!over) setTimeout(() => follow(element, job), LOOK);
  return element;
}

/** Keeps a work that is under way as it is by now. @param {HTMLElement} element @param {Job} job */
async function follow(element, job) {
  if (!element.isConnected) return;
  let now = job;
  try {
    now = await call("GET", `/jobs/${job.id}`);
  } catch {
    // Perhaps the next time.
  }
  const isSame = stateName(now) === stateName(job) || element.contains(document.activeElement);
  if (isSame) setTimeout(() => follow(element, job), LOOK);
  else element.replaceWith(ownWork(now));
}

/** @param {Shared} work */
function sharedWork(work) {
  const painting = work.styles.map((source) => sourceName(source, t("studio.own_painting")));
  const name = work.label || painting.join(" + ");
  return make(
    "article",
    { class: "work" },
    make(
      "a",
      {
        class: "shown",
        href: `/api/jobs/${work.id}/view`,
        onclick: (/** @type {Event} */ event) => {
          event.preventDefault();
          showLarge(work.id, name);
        },
      },
      thumb(work.id, name),
    ),
    make("div", { class: "label" }, make("h2", {}, name)),
  );
}

/** A window with a picture as large as fits. @param {string} id of its job @param {string} name */
function showLarge(id, name) {
  const heading = newId();
  const dialog = make(
    "dialog",
    { class: "large", "aria-labelledby": heading, onclose: () => dialog.remove() },
    dialogHead(make("h2", { id: heading }, name), t("gallery.close"), () => dialog.close()),
    make("img", { src: `/api/jobs/${id}/view`, alt: t("job.result_alt", { name }) }),
  );
  document.body.append(dialog);
  dialog.showModal();
}
