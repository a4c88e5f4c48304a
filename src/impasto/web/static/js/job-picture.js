// @ts-check
// A job's picture: the photo, then what is painted of it, then the result.
import { pictureUrl } from "./api.js";
import { make } from "./elements.js";
import { jobName } from "./job-words.js";
import { livePicture, setPicture } from "./live-picture.js";
import { Viewer } from "./viewer.js";
import { isOver } from "./watch.js";
import { sourceName, t } from "./words.js";

/** @import {Job} from "./types.js" */

/** Longest side of a result's view, px; looking closer takes the picture itself. */
const VIEW = 2048;
/** Longest side of a WebP, px. */
const LONGEST_WEBP = 16383;

/** @param {Job} first as it is now */
export function jobPicture(first) {
  const { id, request } = first;
  const viewer = new Viewer();
  const live = livePicture(id, viewer);
  let job = first;
  let hasResult = false;
  viewer.before.src = pictureUrl(request.photo, "view");
  viewer.before.alt = t("studio.photo_alt", { name: sourceName(request.photo) });
  viewer.after.src = viewer.before.src;
  viewer.before.addEventListener("load", () => {
    if (!job.progress && !job.result) {
      viewer.setSize(viewer.before.naturalWidth, viewer.before.naturalHeight);
    }
  });

  /** @param {{width: number, height: number}} result */
  const showResult = async ({ width, height }) => {
    live.stop();
    const picture = make("img", { src: `/api/jobs/${id}/view`, alt: "", draggable: "false" });
    try {
      await picture.decode();
    } catch {
      // Shown as it comes.
    }
    setPicture(viewer, picture);
    viewer.allowCompare(true);
    viewer.hint();
    const side = Math.max(width, height);
    let isAsked = side <= VIEW;
    viewer.oncloser = async () => {
      if (isAsked) return;
      // Once only: what is refused now is refused at the next move too.
      isAsked = true;
      const format = side <= LONGEST_WEBP ? "webp" : "jpeg";
      const whole = make("img", {
        src: `/api/jobs/${id}/file?format=${format}`,
        alt: "",
        draggable: "false",
      });
      try {
        await whole.decode();
        setPicture(viewer, whole);
      } catch {
        // The view stays.
      }
    };
  };

  /** @param {Job} now */
  const show = (now) => {
    job = now;
    const { progress: at, result } = job;
    const isGoing = !isOver(job.state);
    viewer.element.classList.toggle("waiting", isGoing && at?.version == null);
    if (result) viewer.setSize(result.width, result.height);
    else if (at?.width) viewer.setSize(at.width, at.height);
    viewer.after.alt = t(result ? "job.result_alt" : "job.live_alt", { name: jobName(job) });
    if (!result) live.show(at?.version);
    else if (!isGoing && !hasResult) {
      hasResult = true;
      showResult(result);
    }
  };
  const leave = () => {
    live.stop();
    viewer.close();
  };
  return { element: viewer.element, show, leave };
}
