// @ts-check
// Knows whether the server can be reached, says so, and tries again until it can.
import { announce } from "./announce.js";
import { make } from "./elements.js";
import { t } from "./words.js";

const banner = make("div", { class: "banner", hidden: true });
let isLost = false;
let pause = 1000;

/** The line that is shown while the connection is lost. */
export function connectionBanner() {
  banner.textContent = t("frame.lost");
  return banner;
}

/** The server was not reached. */
export function lost() {
  if (isLost) return;
  isLost = true;
  pause = 1000;
  banner.hidden = false;
  announce(t("frame.lost"));
  setTimeout(tryAgain, pause);
}

/** The server has answered. */
export function reached() {
  if (!isLost) return;
  isLost = false;
  banner.hidden = true;
  announce(t("frame.found"));
  dispatchEvent(new Event("reached"));
}

async function tryAgain() {
  if (!isLost) return;
  try {
    const answer = await fetch("/healthz", { cache: "no-store" });
    if (answer.status < 500) {
      reached();
      return;
    }
  } catch {
    // Not yet.
  }
  pause = Math.min(pause * 1.6, 10000);
  setTimeout(tryAgain, pause);
}

addEventListener("online", tryAgain);
addEventListener("offline", lost);
