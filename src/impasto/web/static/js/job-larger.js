// @ts-check
// Takes a finished picture to a larger size.
import { startJob } from "./api.js";
import { button, make, newId } from "./elements.js";
import { largerRequest, largerSizes } from "./job-request.js";
import { paperWords } from "./paper.js";
import { go } from "./router.js";
import { t } from "./words.js";

/** @import {Larger} from "./job-request.js" */
/** @import {Job, Options} from "./types.js" */

/**
 * @param {Job} job a finished one
 * @param {Options} options
 * @param {number} most longest side that the studio paints, px
 * @param {(error: any) => void} fail
 */
export function larger(job, options, most, fail) {
  const sizes = largerSizes(job, options, most);
  if (sizes.length === 0) return null;
  const words = (/** @type {Larger} */ { options: { print, size } }) => {
    const paper = options.papers.find(({ name }) => name === print);
    return paper ? paperWords(paper) : t(`few.size_${size}`);
  };
  const id = newId();
  const choice = make(
    "select",
    { id },
    sizes.map((one) =>
      make("option", { value: Object.entries(one.options)[0]?.join(":") }, words(one)),
    ),
  );
  const start = async () => {
    const chosen = sizes[choice.selectedIndex];
    if (!chosen) return;
    try {
      const made = await startJob(largerRequest(job, chosen));
      go(`/job/${made.id}`);
    } catch (error) {
      fail(error);
    }
  };
  return make(
    "div",
    { class: "field" },
    make("label", { for: id }, t("job.larger")),
    make("p", { class: "help" }, t("job.larger_help")),
    choice,
    button("print", t("job.larger_go"), start),
  );
}
