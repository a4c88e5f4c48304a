// @ts-check
// Tells screen readers what changes without a press of theirs.
import { make } from "./elements.js";

const polite = make("div", { class: "unseen", role: "status" });
document.body.append(polite);

/** @param {string} words */
export function announce(words) {
  // An emptied region says the same words anew.
  polite.textContent = "";
  setTimeout(() => {
    polite.textContent = words;
  }, 60);
}
