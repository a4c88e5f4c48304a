// @ts-check
// The buttons that steer a job: pause, go on, stop, start again.
import { ask, button } from "./elements.js";
import { isOver } from "./watch.js";
import { t } from "./words.js";

/** @import {Job} from "./types.js" */

/**
 * @param {Job} job
 * @param {(path: string) => Promise<Job | null>} post asks the server for a change
 * @param {(again: Job) => void} onAgain it was started again
 */
export function jobControls({ state, wanted, deleted, request }, post, onAgain) {
  const isGoing = !isOver(state);
  const isPausing = isGoing && (wanted === "pause" || state === "paused");
  const hasFailed = state === "failed" || state === "set_aside";
  return [
    isGoing && !isPausing && control("pause", "pause", () => post("/pause")),
    isPausing && control("play", "resume", () => post("/resume"), "main-button"),
    isGoing &&
      control("stop", "cancel", async () => {
        const why = request.video ? t("clip.cancel_why") : t("job.cancel_why");
        const sure = await ask(t("job.cancel_ask"), why, t("job.cancel"), t("job.go_on"));
        if (sure) post("/cancel");
      }),
    (hasFailed || state === "cancelled") &&
      !deleted &&
      control(
        "again",
        // What failed goes on from what is left of it; what was stopped does not.
        hasFailed ? "try_again" : "run_again",
        async () => {
          const again = await post("/again");
          if (again) onAgain(again);
        },
        "main-button",
      ),
  ];
}

/** @param {string} drawing @param {string} name @param {() => void} press @param {string} [kind] */
function control(drawing, name, press, kind) {
  const made = button(drawing, t(`job.${name}`), press, kind);
  made.dataset.do = name;
  return made;
}
