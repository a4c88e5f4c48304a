// @ts-check
// A window in which to pick one of one's own finished pictures.
import { call } from "./api.js";
import { dialogHead } from "./dialog-head.js";
import { addStyles, button, make, newId } from "./elements.js";
import { jobName } from "./job-words.js";
import { faultWords, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** @returns {Promise<string | null>} the picture's id */
export async function pickFromGallery() {
  await addStyles("gallery");
  const id = newId();
  const body = make("div", { class: "pick" });
  const dialog = make(
    "dialog",
    { "aria-labelledby": id },
    dialogHead(make("h2", { id }, t("gallery.pick")), t("gallery.close"), () => dialog.close()),
    body,
  );
  document.body.append(dialog);
  dialog.showModal();
  /** @type {Promise<string | null>} */
  const picked = new Promise((resolve) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue || null);
    });
  });
  let before = "";
  const more = async () => {
    try {
      const found = await call("GET", `/jobs?state=done,cancelled&limit=24${before}`);
      const jobs = /** @type {Job[]} */ (found.jobs);
      body.querySelector(".more")?.remove();
      for (const job of jobs) {
        const { result } = job;
        if (!result) continue;
        body.append(
          make(
            "button",
            { type: "button", onclick: () => dialog.close(result.id) },
            make("img", { src: `/api/jobs/${job.id}/thumb`, alt: "", loading: "lazy" }),
            jobName(job),
          ),
        );
      }
      if (found.next) {
        before = `&before=${encodeURIComponent(found.next)}`;
        body.append(button("", t("gallery.more"), more, "more"));
      }
      if (!body.children.length) body.append(make("p", { class: "quiet" }, t("gallery.empty")));
    } catch (error) {
      body.append(make("p", { class: "fault" }, faultWords(error)));
    }
  };
  await more();
  return picked;
}
