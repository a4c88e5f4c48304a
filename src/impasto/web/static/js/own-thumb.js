// @ts-check
// A picture to choose: a radio button or check box with a face. Own ones can be deleted, and brought
// back as long as the page stands.
import { announce } from "./announce.js";
import { call, pictureUrl } from "./api.js";
import { icon, make } from "./elements.js";
import { faultWords, t } from "./words.js";

/** @import {Picture} from "./types.js" */

/**
 * @param {object} about
 * @param {string} about.source
 * @param {string} about.name
 * @param {"radio" | "checkbox"} about.type
 * @param {string} about.group name of the field
 * @param {boolean} about.isChosen
 * @param {boolean} [about.isNamed] show the name
 * @param {(wanted: boolean) => void} about.choose
 * @param {() => void} [about.missing] its picture is not to be had
 */
export function thumb({ source, name, type, group, isChosen, isNamed, choose, missing }) {
  const input = make("input", {
    type,
    name: group,
    value: source,
    checked: isChosen,
    "aria-label": isNamed ? null : name,
    onchange: () => choose(input.checked),
  });
  return make(
    "label",
    { class: "thumb", title: isNamed ? null : name },
    make("img", {
      src: pictureUrl(source, "thumb"),
      alt: "",
      loading: "lazy",
      width: 120,
      height: 120,
      onerror: missing ?? null,
    }),
    input,
    isNamed && make("span", {}, name),
  );
}

/**
 * @param {HTMLElement} face the thumb of an own picture
 * @param {Picture} picture
 * @param {string} name
 * @param {() => void} changed it was deleted or brought back
 * @param {(words: string) => void} fail
 */
export function ownThumb(face, picture, name, changed, fail) {
  const holder = make("div", { class: "own" });
  const act = async () => {
    const isGone = Boolean(picture.deleted);
    try {
      if (isGone) await call("POST", `/pictures/${picture.id}/restore`);
      else await call("DELETE", `/pictures/${picture.id}`);
    } catch (error) {
      fail(faultWords(error));
      return;
    }
    picture.deleted = isGone ? null : Date.now() / 1000;
    show();
    if (!isGone) announce(t("studio.forgotten", { name }));
    changed();
    // What has changed may have drawn all thumbs anew.
    const words = holder.querySelector("button")?.getAttribute("aria-label") ?? "";
    /** @type {HTMLElement | null} */ (
      document.querySelector(`.own > button[aria-label="${CSS.escape(words)}"]`)
    )?.focus();
  };
  const show = () => {
    const words = t(picture.deleted ? "studio.bring_back" : "studio.forget", { name });
    const press = make(
      "button",
      { type: "button", "aria-label": words, title: words, onclick: act },
      icon(picture.deleted ? "undo" : "close"),
    );
    holder.classList.toggle("gone", Boolean(picture.deleted));
    holder.replaceChildren(...(picture.deleted ? [] : [face]), press);
  };
  show();
  return holder;
}
