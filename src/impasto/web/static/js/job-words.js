// @ts-check
// A job in words: its name, and where it stands.
import { isOver } from "./watch.js";
import { faultWords, percent, pictureName, sourceName, span, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** @param {Job} job */
export function jobName(job) {
  if (job.label || job.title) return job.label || job.title;
  const paintings = job.request.styles.map((source) => sourceName(source, t("studio.own_painting")));
  return pictureName(sourceName(job.request.photo), paintings);
}

/** @param {Job} job @returns {{big: string, small: string}} */
export function stateWords(job) {
  const { progress: at } = job;
  const done = percent(at?.share ?? 0);
  if (job.wanted === "pause" && job.state === "running") return { big: t("job.pausing"), small: "" };
  if (job.wanted === "cancel" && !isOver(job.state)) return { big: t("job.cancelling"), small: "" };
  switch (job.state) {
    case "queued":
      return {
        big: job.place && job.place > 1 ? t("job.place", { count: job.place }) : t("job.next"),
        small: t("job.queued_help"),
      };
    case "running": {
      if (!at) return { big: t("job.begins"), small: "" };
      const left = at.remaining == null ? "" : t("job.left", { span: span(at.remaining) });
      const level = at.levels?.length
        ? t("job.level", { level: at.level + 1, count: at.levels.length, width: at.width, height: at.height })
        : "";
      const frames = at.frames_done
        ? t("clip.frames", { done: at.frames_done, all: at.frames ?? "?" }, "")
        : "";
      const small = [left, level, frames].filter(Boolean).join(" · ");
      return { big: t("job.running", { share: done }), small };
    }
    case "paused":
      return { big: t("job.paused", { share: done }), small: t("job.paused_help") };
    case "done":
      return {
        big: t("job.done"),
        small: at?.elapsed ? t("job.took", { span: span(at.elapsed) }) : "",
      };
    case "cancelled":
      return { big: t("job.cancelled"), small: "" };
    default:
      return {
        big: t(job.state === "failed" ? "job.failed" : "job.set_aside"),
        small: job.fault ? faultWords(job.fault) : "",
      };
  }
}
