// @ts-check
// What stands above a window.
import { icon, make } from "./elements.js";

/**
 * The head of a window: what it is, and a button that closes it.
 * @param {HTMLElement} heading
 * @param {string} words of the button
 * @param {() => void} close
 */
export function dialogHead(heading, words, close) {
  return make(
    "div",
    { class: "dialog-head" },
    heading,
    make(
      "button",
      { class: "icon-button", type: "button", "aria-label": words, onclick: close },
      icon("close"),
    ),
  );
}
