// @ts-check
// The easel: drop, paste, browse or photograph a picture, or take a sample or an earlier one.
import { announce } from "./announce.js";
import { notTwice, pictureUrl, upload } from "./api.js";
import { button, fill, make } from "./elements.js";
import { fileButton } from "./file-button.js";
import { ownThumb, thumb } from "./own-thumb.js";
import { faultWords, percent, sourceName, t } from "./words.js";

/** @import {Settings} from "./settings.js" */
/** @import {Drawn, Picture} from "./types.js" */

/**
 * @param {Settings} settings
 * @param {Drawn[]} samples
 * @param {Picture[]} photos own ones, newest first
 * @param {boolean} hasNote whether something will be said below the photo
 */
export function photoPicker(settings, samples, photos, hasNote) {
  let own = photos.filter((photo) => photo.state === "ready" && !photo.deleted);
  /** @type {Map<string, string>} what the browser itself can show at once */
  const local = new Map();
  const canvas = make("figure", { class: "canvas" });
  const fault = make("p", { class: "fault", role: "alert" });
  const heading = make("h1", { class: "unseen" }, t("studio.title"));
  const thumbs = make("div", { class: "thumbs" });
  const status = make("div", { class: "uploading", hidden: true });
  const note = make("div", { class: "note row" });

  /** @param {File | null | undefined} file */
  const take = async (file) => {
    if (!file) return;
    fill(fault);
    status.hidden = false;
    status.textContent = t("studio.sending", { share: percent(0) });
    const url = URL.createObjectURL(file);
    const glimpse = new Image();
    glimpse.src = url;
    glimpse.alt = "";
    glimpse
      .decode()
      .then(() => {
        if (!status.hidden) showCanvas(glimpse);
      })
      .catch(() => {}); // A kind of picture that the server knows and the browser does not.
    try {
      const sent = await upload("photo", file, file.name, (share) => {
        status.textContent =
          share < 1 ? t("studio.sending", { share: percent(share) }) : t("studio.reading");
      });
      const picture = await notTwice(own, sent);
      own = [picture, ...own.filter((one) => one.id !== picture.id)];
      local.set(picture.id, url);
      settings.photo = picture.id;
      announce(t("studio.photo_there", { name: name(picture.id) }));
      status.hidden = true;
      settings.changed("photo");
    } catch (error) {
      status.hidden = true;
      URL.revokeObjectURL(url);
      fault.textContent = faultWords(error);
      show();
    }
  };

  const one = (/** @type {File[]} */ [file]) => take(file);
  const hasCamera = matchMedia("(pointer: coarse)").matches;
  const buttons = (/** @type {string} */ kind) => [
    fileButton({ words: t("studio.choose_photo"), take: one, kind }),
    hasCamera &&
      fileButton({ words: t("studio.take_photo"), take: one, drawing: "photo", camera: true }),
    button("gallery", t("studio.from_gallery"), async () => {
      const id = await (await import("./gallery-dialog.js")).pickFromGallery();
      if (id) choose(id);
    }),
  ];

  /** @param {string | null} source */
  const choose = (source) => {
    settings.photo = source;
    settings.changed("photo");
  };

  const name = (/** @type {string} */ source) =>
    sourceName(source, own.find((photo) => photo.id === source)?.name);

  /** @param {HTMLImageElement} picture */
  const showCanvas = (picture) => {
    const measure = () => {
      const ratio = picture.naturalWidth / picture.naturalHeight;
      if (ratio) picture.style.setProperty("--ratio", String(ratio));
    };
    picture.addEventListener("load", measure);
    measure();
    canvas.classList.remove("empty");
    fill(canvas, picture, status);
  };

  const show = () => {
    const { photo } = settings;
    canvas.classList.toggle("empty", !photo);
    // The invitation has a heading of its own.
    heading.hidden = !photo;
    if (photo) {
      const picture = make("img", {
        src: local.get(photo) ?? pictureUrl(photo, "view"),
        alt: t("studio.photo_alt", { name: name(photo) }),
        onerror: () => {
          if (settings.photo !== photo) return;
          const url = local.get(photo);
          if (url) {
            // A kind of picture that the server can show and the browser cannot, such as TIFF.
            URL.revokeObjectURL(url);
            local.delete(photo);
            picture.src = pictureUrl(photo, "view");
            return;
          }
          // A link from somebody else names a photo that is not to be seen here.
          fault.textContent = t("studio.photo_gone");
          settings.photo = null;
          settings.changed("photo");
        },
      });
      showCanvas(picture);
    } else {
      fill(
        canvas,
        make(
          "div",
          { class: "invitation" },
          make(
            "a",
            { class: "example", href: "/?photo=sample:cat&style=style:night-sky" },
            make("img", { src: pictureUrl("sample:cat", "thumb"), alt: t("samples.cat") }),
            make("span", { "aria-hidden": "true" }, "+"),
            make("img", { src: pictureUrl("style:night-sky", "thumb"), alt: t("styles.night-sky") }),
            make("span", { "aria-hidden": "true" }, "="),
            make("img", { src: "/static/pictures/example.jpg", alt: t("studio.example") }),
          ),
          make("h1", {}, t("studio.welcome")),
          make("p", { class: "lead" }, t("studio.lead")),
          make("div", { class: "tray" }, buttons("main-button")),
          !hasCamera && make("p", { class: "help" }, t("studio.drop")),
          make("a", { href: "/clip" }, t("studio.clip")),
        ),
        status,
      );
    }
    const choices = [
      ...own.map((picture) => ({ source: picture.id, name: name(picture.id), picture })),
      ...samples
        .map((one) => `sample:${one.name}`)
        .map((source) => ({ source, name: name(source), picture: null })),
    ];
    fill(
      thumbs,
      choices.map(({ source, name, picture }) => {
        const face = thumb({
          source,
          name,
          type: "radio",
          group: "photo",
          isChosen: source === photo,
          choose: () => choose(source),
        });
        if (!picture) return face;
        const changed = () => settings.photo === source && picture.deleted && choose(null);
        return ownThumb(face, picture, name, changed, (words) => fill(fault, words));
      }),
    );
    tools.hidden = !photo;
    note.hidden = !photo || !hasNote;
  };

  const tools = make("div", { class: "tray" }, buttons(""));
  const element = make(
    "section",
    { class: "easel", "aria-label": t("studio.photo") },
    heading,
    canvas,
    note,
    fault,
    tools,
    make(
      "fieldset",
      {},
      make("legend", { class: "help" }, t("studio.or_try")),
      thumbs,
    ),
  );

  settings.addEventListener("changed", (event) => {
    const what = /** @type {CustomEvent} */ (event).detail;
    if (what !== "" && what !== "photo") return;
    const focused = thumbs.contains(document.activeElement);
    show();
    if (focused) /** @type {HTMLInputElement | null} */ (thumbs.querySelector(":checked"))?.focus();
  });
  show();

  /** @param {DataTransfer | null} transfer */
  const fileIn = (transfer) =>
    [...(transfer?.files ?? [])].find((file) => file.type.startsWith("image/") || !file.type);
  /** @param {DragEvent} event */
  const over = (event) => {
    if (!event.dataTransfer?.types.includes("Files")) return;
    // The paintings' own place takes what falls there.
    const isHere = !event.defaultPrevented;
    event.preventDefault();
    canvas.classList.toggle("over", isHere && event.type === "dragover");
  };
  /** @param {DragEvent} event */
  const drop = (event) => {
    canvas.classList.remove("over");
    if (event.defaultPrevented || !event.dataTransfer?.files.length) return;
    event.preventDefault();
    take(fileIn(event.dataTransfer) ?? event.dataTransfer.files[0]);
  };
  /** @param {ClipboardEvent} event */
  const paste = (event) => {
    const file = fileIn(event.clipboardData);
    if (file) take(file);
  };
  document.addEventListener("dragover", over);
  document.addEventListener("dragleave", over);
  document.addEventListener("drop", drop);
  document.addEventListener("paste", paste);
  const leave = () => {
    document.removeEventListener("dragover", over);
    document.removeEventListener("dragleave", over);
    document.removeEventListener("drop", drop);
    document.removeEventListener("paste", paste);
    for (const url of local.values()) URL.revokeObjectURL(url);
  };
  return { element, canvas, note, name, leave };
}
