// @ts-check
// Chooses the paintings: drawn styles, own uploads, finished pictures; one, or several with shares.
import { announce } from "./announce.js";
import { notTwice, pictureUrl, upload } from "./api.js";
import { button, fill, icon, make, slider } from "./elements.js";
import { fileButton } from "./file-button.js";
import { ownThumb, thumb } from "./own-thumb.js";
import { faultWords, percent, sourceName, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Drawn, Painting, Picture} from "./types.js" */

/** How many drawn styles are shown before "show all". */
const FIRST = 12;
/** Those that change a photo most, first. */
const FAVOURITES = ["night-sky", "water-garden", "waves", "mosaic", "watercolor", "stained-glass"];

/**
 * @param {Settings} settings
 * @param {Drawn[]} styles
 * @param {Picture[]} uploads own ones, newest first
 */
export function paintingPicker(settings, styles, uploads) {
  let own = uploads.filter((one) => one.state === "ready" && !one.deleted);
  let blend = settings.paintings.length > 1;
  let isOpen = false;
  const rank = (/** @type {Drawn} */ one) => (FAVOURITES.indexOf(one.name) + 100) % 100;
  const drawn = styles.toSorted((a, b) => rank(a) - rank(b)).map((one) => `style:${one.name}`);
  const thumbs = make("div", { class: "thumbs" });
  const shares = make("div", { class: "shares" });
  const fault = make("p", { class: "fault", role: "alert" });
  const status = make("p", { class: "help", role: "status" });

  const name = (/** @type {string} */ source) =>
    sourceName(source, own.find((one) => one.id === source)?.name);

  /** @param {string} source @param {boolean} wanted */
  const choose = (source, wanted) => {
    if (!blend) settings.paintings = wanted ? [{ source, share: 1 }] : [];
    else if (!wanted) settings.paintings = settings.paintings.filter((one) => one.source !== source);
    else if (!settings.paintings.some((one) => one.source === source)) {
      const share = sum(settings.paintings) / settings.paintings.length || 1;
      settings.paintings = [...settings.paintings, { source, share }];
    }
    settings.changed("paintings");
  };

  /** @param {Iterable<File>} files */
  const take = async (files) => {
    fill(fault);
    for (const file of files) {
      status.textContent = t("studio.sending_name", { name: file.name });
      try {
        const picture = await notTwice(own, await upload("style", file, file.name));
        own = [picture, ...own.filter((one) => one.id !== picture.id)];
        if (settings.paintings.some((one) => own.some((mine) => mine.id === one.source))) {
          blend = true;
        }
        choose(picture.id, true);
        announce(t("studio.painting_there", { name: name(picture.id) }));
      } catch (error) {
        fault.textContent = faultWords(error);
      }
      status.textContent = "";
    }
    show();
  };

  const show = () => {
    blend ||= settings.paintings.length > 1;
    blendBox.checked = blend;
    const chosen = settings.paintings.map((one) => one.source);
    const known = new Set([...own.map((one) => one.id), ...drawn]);
    const first = isOpen ? drawn : drawn.slice(0, FIRST);
    const sources = [
      ...chosen.filter((one) => !known.has(one)),
      ...own.map((one) => one.id),
      ...first,
      ...drawn.filter((one) => !first.includes(one) && chosen.includes(one)),
    ];
    fill(
      thumbs,
      sources.map((source) => {
        const face = thumb({
          source,
          name: name(source),
          type: blend ? "checkbox" : "radio",
          group: "painting",
          isChosen: chosen.includes(source),
          isNamed: true,
          choose: (wanted) => choose(source, wanted),
          missing: () => {
            if (known.has(source) || !settings.paintings.some((p) => p.source === source)) return;
            fault.textContent = t("studio.painting_gone");
            settings.paintings = settings.paintings.filter((one) => one.source !== source);
            settings.changed("paintings");
          },
        });
        const picture = own.find((one) => one.id === source);
        if (!picture) return face;
        const changed = () => {
          if (!picture.deleted || !chosen.includes(source)) return;
          settings.paintings = settings.paintings.filter((one) => one.source !== source);
          settings.changed("paintings");
        };
        return ownThumb(face, picture, name(source), changed, (words) => fill(fault, words));
      }),
    );
    all.hidden = isOpen || drawn.length <= FIRST;
    fill(
      shares,
      settings.paintings.length > 1 && [
        make("h3", {}, t("studio.shares")),
        ...settings.paintings.map((painting) => {
          const control = slider({
            name: name(painting.source),
            min: 0,
            max: 100,
            value: shown(painting),
            say: () => percent(shown(painting) / 100),
            oninput: (value) => {
              give(painting, value / 100);
              for (const show of said) show();
            },
            onchange: () => settings.changed("shares"),
          });
          said.push(() => control.set(shown(painting)));
          return make(
            "div",
            { class: "share" },
            make("img", { src: pictureUrl(painting.source, "thumb"), alt: "" }),
            control.element,
            make(
              "button",
              {
                class: "icon-button plain-button",
                type: "button",
                "aria-label": t("studio.remove", { name: name(painting.source) }),
                onclick: () => choose(painting.source, false),
              },
              icon("close"),
            ),
          );
        }),
      ],
    );
  };
  /** @type {(() => void)[]} */
  const said = [];
  const sum = (/** @type {Painting[]} */ paintings) =>
    paintings.reduce((all, one) => all + one.share, 0);
  /** A painting's part of the whole, in percent. @param {Painting} painting */
  const shown = ({ share }) => {
    const all = sum(settings.paintings);
    return Math.round(100 * (all ? share / all : 1 / settings.paintings.length));
  };
  /** Gives a painting its part of the whole; the others share the rest as they did. @param {Painting} painting @param {number} part */
  const give = (painting, part) => {
    const others = settings.paintings.filter((one) => one !== painting);
    const all = sum(others);
    for (const one of [painting, ...others]) {
      const own = one === painting ? part : (1 - part) * (all ? one.share / all : 1 / others.length);
      one.share = Math.round(own * 1e4) / 1e4;
    }
  };

  const blendBox = make("input", {
    type: "checkbox",
    onchange: () => {
      blend = blendBox.checked;
      if (!blend) settings.paintings = settings.paintings.slice(0, 1);
      settings.changed("paintings");
    },
  });
  const all = button("", t("studio.all_styles", { count: drawn.length }), () => {
    isOpen = true;
    show();
    /** @type {HTMLInputElement | undefined} */ (
      [...thumbs.querySelectorAll("input")][own.length + FIRST]
    )?.focus();
  });
  all.classList.add("small-button");
  const element = make(
    "section",
    { class: "step" },
    make("h2", {}, t("studio.painting")),
    make("fieldset", {}, make("legend", { class: "unseen" }, t("studio.painting")), thumbs),
    make(
      "div",
      { class: "row" },
      all,
      fileButton({
        words: t("studio.upload_painting"),
        take,
        kind: "small-button",
        multiple: true,
      }),
      button(
        "gallery",
        t("studio.from_gallery"),
        async () => {
          const id = await (await import("./gallery-dialog.js")).pickFromGallery();
          if (id) choose(id, true);
        },
        "small-button",
      ),
    ),
    status,
    fault,
    make("label", { class: "tick" }, blendBox, make("span", { class: "name" }, t("studio.blend"))),
    shares,
  );
  /** @param {DragEvent} event */
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    event.preventDefault();
    element.classList.toggle("over", event.type === "dragover");
  };
  element.addEventListener("dragover", over);
  element.addEventListener("dragleave", over);
  element.addEventListener("drop", (event) => {
    element.classList.remove("over");
    if (!event.dataTransfer?.files.length) return;
    event.preventDefault();
    // The list is emptied as soon as this listener returns.
    take([...event.dataTransfer.files]);
  });
  settings.addEventListener("changed", (event) => {
    const what = /** @type {CustomEvent} */ (event).detail;
    if (what !== "" && what !== "paintings") return;
    const focused = /** @type {HTMLInputElement | null} */ (document.activeElement);
    const inside = focused && element.contains(focused) ? focused.value : null;
    if (what === "") blend = false;
    said.length = 0;
    show();
    if (inside === null) return;
    for (const one of thumbs.querySelectorAll("input")) if (one.value === inside) one.focus();
  });
  show();
  return { element, name };
}
