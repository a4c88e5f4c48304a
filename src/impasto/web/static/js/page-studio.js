// @ts-check
// The studio: a photo on the easel, a panel to choose paintings and looks, and Start.
import { allOptions, drawnStyles, pictures, presets, samplePhotos, startJob } from "./api.js";
import { button, fill, icon, make } from "./elements.js";
import { fewOptions } from "./few-options.js";
import { moreFold } from "./more-fold.js";
import { paintingPicker } from "./painting-picker.js";
import { photoPicker } from "./photo-picker.js";
import { regionsFold } from "./regions.js";
import { go, setAddress } from "./router.js";
import { Settings } from "./settings.js";
import { readAddress } from "./settings-address.js";
import { faultWords, pictureName, t } from "./words.js";

/** @import {Me} from "./types.js" */

/** Letters that a picture's name may have. */
const LONGEST = 120;

/** @param {Me} me @returns {Promise<import("./main.js").Page>} */
export async function studioPage(me) {
  const [options, styles, samples, photos, paintings, own] = await Promise.all([
    allOptions(),
    drawnStyles(),
    samplePhotos(),
    pictures("photo"),
    pictures("style"),
    presets(),
  ]);
  const settings = new Settings(options);
  readAddress(settings, location.search);
  const easel = photoPicker(settings, samples, photos, me.previews.built_in);
  const picker = paintingPicker(settings, styles, paintings);
  const fault = make("p", { class: "fault", role: "alert" });
  const start = make(
    "button",
    { type: "submit", class: "main-button" },
    icon("brush"),
    t("studio.start"),
  );
  const missing = make("p", { class: "help", id: "missing" });
  const all = moreFold(settings, styles, samples);

  const refused = make("p", { class: "notice bad", role: "alert" });

  const show = () => {
    const list = settings.refused.map(([name, text]) => `${t(`options.${name}.name`, {}, name)} (${text})`);
    refused.textContent = list.length ? t("studio.link_bad", { settings: list.join(", ") }) : "";
    refused.hidden = !refused.textContent;
    missing.textContent = !settings.photo
      ? t("studio.needs_photo")
      : settings.paintings.length === 0
        ? t("studio.needs_painting")
        : "";
    missing.hidden = !missing.textContent;
    const query = settings.query();
    setAddress(query ? `/?${query}` : "/");
  };
  /** @type {Promise<void | Awaited<ReturnType<typeof import("./previews.js").showPreviews>>>} */
  let previews;
  const preview = () => {
    if (!me.previews.built_in || !settings.photo) return;
    previews ??= import("./previews.js")
      .then(({ showPreviews }) => showPreviews(settings, me, easel, picker.element))
      .catch(() => {}); // The page works without them.
  };
  settings.addEventListener("changed", () => {
    preview();
    fill(fault);
    show();
  });
  show();
  preview();

  const submit = async (/** @type {SubmitEvent} */ event) => {
    event.preventDefault();
    fill(fault);
    if (missing.textContent) {
      fault.textContent = missing.textContent;
      (settings.photo ? panel : easel.element).querySelector("input")?.focus();
      return;
    }
    fault.textContent = settings.refusal();
    if (fault.textContent) return;
    start.setAttribute("aria-disabled", "true");
    if (start.dataset.busy) return;
    start.dataset.busy = "yes";
    try {
      // For its owner alone: names of files are in it. A label is shared.
      const title = pictureName(
        easel.name(settings.photo ?? ""),
        settings.paintings.map(({ source }) => picker.name(source)),
      );
      const job = await startJob({
        ...settings.request(),
        refine: (await previews)?.canRefine(),
        title: title.slice(0, LONGEST),
      });
      go(`/job/${job.id}`);
    } catch (error) {
      fault.textContent = faultWords(error);
      all.showFault(/** @type {any} */ (error).field, fault.textContent);
    } finally {
      delete start.dataset.busy;
      start.removeAttribute("aria-disabled");
    }
  };

  const copied = make("span", { role: "status", class: "help" });
  const panel = make(
    "form",
    { class: "panel", novalidate: true, onsubmit: submit, "aria-label": t("studio.panel") },
    picker.element,
    make("section", { class: "step" }, make("h2", {}, t("studio.look")), fewOptions(settings, me, own)),
    make("div", { class: "folds" }, regionsFold(settings, picker.name), all.element),
    make(
      "div",
      { class: "row" },
      button(
        "link",
        t("studio.copy_link"),
        async () => {
          try {
            await navigator.clipboard.writeText(location.href);
            copied.textContent = t("studio.copied");
          } catch {
            copied.textContent = t("studio.link_above");
          }
        },
        "plain-button",
      ),
      copied,
      button("undo", t("studio.reset"), () => readAddress(settings, ""), "plain-button"),
    ),
    make("div", { class: "go" }, fault, missing, start),
  );
  return {
    title: t("frame.studio"),
    element: make("div", { class: "page studio" }, refused, easel.element, panel),
    leave: () => {
      previews?.then((found) => found?.end());
      easel.leave();
    },
  };
}
