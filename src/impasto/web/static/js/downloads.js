// @ts-check
// Ways to take a finished picture home: files, and a file for a sheet of paper.
import { fill, icon, make, newId } from "./elements.js";
import { paperWords } from "./paper.js";
import { t } from "./words.js";

/** @import {Job, Options} from "./types.js" */

const FILES = [
  ["png", 8],
  ["jpeg", 8],
  ["tiff", 16],
];

/** @param {Job} job a finished one @param {Options} options */
export function downloads(job, options) {
  const file = `/api/jobs/${job.id}/file`;
  const link = (/** @type {string} */ query, /** @type {string} */ words) =>
    make("a", { class: "button", href: `${file}?${query}`, download: true }, icon("download"), words);
  const id = newId();
  const { width, height } = job.result ?? { width: 1, height: 1 };
  const print = make("div", { class: "row" });
  const note = make("p", { class: "help", id: `${id}-help` });
  const choice = make(
    "select",
    { id, "aria-describedby": `${id}-help` },
    options.papers.map((paper) => make("option", { value: paper.name }, paperWords(paper))),
  );
  const show = () => {
    const paper = options.papers.find((one) => one.name === choice.value);
    if (!paper) return;
    const long = Math.max(paper.width_mm, paper.height_mm);
    const short = Math.min(paper.width_mm, paper.height_mm);
    const [wide, narrow] = [Math.max(width, height), Math.min(width, height)];
    const dpi = Math.round(25.4 * Math.max(wide / long, narrow / short));
    const quality = dpi >= 220 ? "fine" : dpi >= 120 ? "fair" : "coarse";
    note.textContent = `${t("job.dpi", { dpi })} ${t(`job.print_${quality}`)}`;
    fill(
      print,
      link(`format=png&paper=${paper.name}&orientation=auto`, t("job.print_png")),
      link(`format=tiff&bits=16&paper=${paper.name}&orientation=auto`, t("job.print_tiff")),
    );
  };
  choice.addEventListener("change", show);
  if (options.papers.some((paper) => paper.name === "a4")) choice.value = "a4";
  show();
  return make(
    "section",
    { class: "block" },
    make("h2", {}, t("job.download")),
    make(
      "div",
      { class: "actions" },
      FILES.map(([format, bits]) =>
        link(`format=${format}&bits=${bits}`, t(`job.as_${format}`)),
      ),
    ),
    make(
      "details",
      {},
      make("summary", {}, t("job.print")),
      make(
        "div",
        { class: "fold-body" },
        make("div", { class: "field" }, make("label", { for: id }, t("job.paper")), choice, note),
        print,
      ),
    ),
  );
}
