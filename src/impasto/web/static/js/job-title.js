// @ts-check
// A picture's name, which can be changed.
import { button, make, newId } from "./elements.js";
import { jobName } from "./job-words.js";
import { t } from "./words.js";

/** @import {Job} from "./types.js" */

/** @param {(label: string) => Promise<any>} rename */
export function jobTitle(rename) {
  const heading = make("h1");
  const element = make("div", {}, heading);
  let name = "";

  /** @param {Job} job */
  const show = (job) => {
    name = jobName(job);
    heading.textContent = name;
  };
  const ask = () => {
    const id = newId();
    const input = make("input", { id, type: "text", maxlength: 120, value: name });
    const leave = () => {
      form.remove();
      // The page keeps its heading while another stands in its place for those who see.
      heading.classList.remove("unseen");
      heading.setAttribute("tabindex", "-1");
      heading.focus();
    };
    const form = make(
      "form",
      {
        class: "title-field",
        onsubmit: async (/** @type {Event} */ event) => {
          event.preventDefault();
          await rename(input.value.trim());
          leave();
        },
        onkeydown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && leave(),
      },
      make("label", { class: "unseen", for: id }, t("job.name")),
      input,
      make("button", { type: "submit" }, t("job.save")),
      button("", t("job.keep_name"), leave, "plain-button"),
    );
    element.querySelector("form")?.remove();
    heading.classList.add("unseen");
    element.append(form);
    input.select();
    input.focus({ preventScroll: true });
    // The button that led here may stand far below.
    form.scrollIntoView({ block: "center" });
  };
  return { element, show, button: () => button("", t("job.rename"), ask, "plain-button") };
}
