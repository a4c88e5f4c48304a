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
  const low = Math.max(job.result?.width ?? 0, job.result?.height ?? 0) + 1;
  // What fills a sheet goes on to sheets alone.
  const isFree = job.request.options.print_fit !== "fill" && low <= most;
  if (sizes.length === 0 && !isFree) return null;
  const words = (/** @type {Larger} */ { options: { print, size, dpi } }) => {
    const paper = options.papers.find(({ name }) => name === print);
    if (!paper) return t(`few.size_${size}`);
    return dpi ? t("few.paper_dpi", { name: paperWords(paper), dpi }) : paperWords(paper);
  };
  const id = newId();
  const choice = make(
    "select",
    {
      id,
      onchange: () => {
        own.hidden = choice.value !== "own";
      },
    },
    sizes.map((one) =>
      make("option", { value: Object.entries(one.options)[0]?.join(":") }, words(one)),
    ),
    isFree && make("option", { value: "own" }, t("few.own")),
  );
  const side = make("input", {
    type: "number",
    id: `${id}-own`,
    min: low,
    max: most,
    value: Math.min(2 * low, most),
    inputmode: "numeric",
    "aria-describedby": `${id}-range`,
  });
  const own = make(
    "div",
    { class: "field", hidden: sizes.length > 0 },
    make("label", { for: side.id }, t("few.own_size")),
    side,
    make("p", { class: "help", id: `${id}-range` }, t("few.own_range", { low, high: most })),
  );
  const start = async () => {
    const size = Number(side.value);
    const chosen = sizes[choice.selectedIndex] ?? { options: { size }, side: size };
    if (!own.hidden && !side.checkValidity()) {
      fail({ code: "option", message: t("few.own_range", { low, high: most }) });
      side.focus();
      return;
    }
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
    own,
    button("print", t("job.larger_go"), start),
  );
}
