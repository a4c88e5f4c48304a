// @ts-check
// Follows a job as the server tells of it, through lost connections.
import { ApiError, call } from "./api.js";
import { lost, reached } from "./connection.js";

/** @import {Job, JobState} from "./types.js" */

const FINAL = new Set(["done", "cancelled", "failed", "set_aside"]);

/** @param {JobState} state */
export function isOver(state) {
  return FINAL.has(state);
}

/**
 * Calls back with the job now and whenever it changes, until it is over.
 * @param {string} id
 * @param {(job: Job) => void} tell
 * @param {(error: any) => void} fail the job is not to be had
 * @returns {() => void} stops
 */
export function watchJob(id, tell, fail) {
  /** @type {EventSource | null} */
  let source = null;
  let stopped = false;
  const stop = () => {
    stopped = true;
    source?.close();
    removeEventListener("reached", open);
  };
  const open = () => {
    source?.close();
    if (stopped) return;
    source = new EventSource(`/api/jobs/${id}/events`);
    source.addEventListener("job", (event) => {
      reached();
      const job = /** @type {Job} */ (JSON.parse(event.data));
      if (isOver(job.state)) stop();
      tell(job);
    });
    source.addEventListener("error", async () => {
      if (stopped) return;
      source?.close();
      try {
        const job = /** @type {Job} */ (await call("GET", `/jobs/${id}`));
        if (stopped) return;
        if (isOver(job.state)) stop();
        else setTimeout(open, 1000);
        tell(job);
      } catch (error) {
        if (error instanceof ApiError && (error.status === 0 || error.status >= 500)) {
          lost();
        } else if (!stopped) {
          stop();
          fail(error);
        }
      }
    });
  };
  addEventListener("reached", open);
  open();
  return stop;
}
