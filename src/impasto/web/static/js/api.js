// @ts-check
// Speaks with the server. A fault always comes as an ApiError whose code has words.
import { lost, reached } from "./connection.js";
import { loadLaterWords } from "./words.js";

/** @import {Job, JobRequest, Me, Options, OwnPreset, Picture, Drawn} from "./types.js" */

/** What the server refused, or that it was not reached (code `offline`). */
export class ApiError extends Error {
  /**
   * @param {string} code @param {string} message
   * @param {number} [status] of the answer; 0 where there is none
   * @param {any} [detail] what else was said
   */
  constructor(code, message, status = 0, detail = {}) {
    super(message);
    this.code = code;
    this.status = status;
    /** The option that it is about. @type {string | null} */
    this.field = detail.field ?? null;
    /** What is wrong with that, and what belongs to it. */
    this.reason = detail.reason;
    this.values = detail.values ?? {};
  }
}

/** @type {Me | null} */
let me = null;

/** @param {number} status @param {any} body */
function refusal(status, body) {
  const detail = body?.detail;
  const known = detail && typeof detail === "object" && !Array.isArray(detail) ? detail : {};
  const code = known.code ?? (status === 401 ? "signin" : status === 413 ? "too_large" : "unknown");
  if (code === "signin" && location.pathname !== "/login") {
    dispatchEvent(new CustomEvent("signin"));
  }
  return new ApiError(code, known.message ?? "", status, known);
}

/**
 * @param {string} method
 * @param {string} path below /api
 * @param {any} [body]
 * @returns {Promise<any>}
 */
export async function call(method, path, body) {
  /** @type {Record<string, string>} */
  const headers = { Accept: "application/json" };
  if (method !== "GET") headers["X-Impasto-CSRF"] = (me ?? (await whoAmI())).csrf;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`/api${path}`, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    lost();
    throw new ApiError("offline", "");
  }
  reached();
  const text = await answer.text();
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    // A proxy's own page of words, say.
  }
  if (!answer.ok) {
    const error = refusal(answer.status, found);
    // Without its words it is told in the server's.
    if (error.reason) await loadLaterWords().catch(() => {});
    throw error;
  }
  return found;
}

/** Who the server takes this browser for, and what it allows. @returns {Promise<Me>} */
export async function whoAmI() {
  const found = /** @type {Me} */ (await call("GET", "/me"));
  me = found;
  return found;
}

/** @template T @param {string} path @returns {() => Promise<T>} asks the server once only */
function once(path) {
  /** @type {Promise<T> | null} */
  let asked = null;
  return () => {
    asked ??= call("GET", path).catch((error) => {
      asked = null;
      throw error;
    });
    return asked;
  };
}

export const allOptions = /** @type {() => Promise<Options>} */ (once("/options"));
export const drawnStyles = /** @type {() => Promise<Drawn[]>} */ (once("/styles"));
export const samplePhotos = /** @type {() => Promise<Drawn[]>} */ (once("/samples"));

/** The visitor's own presets. @returns {Promise<OwnPreset[]>} */
export async function presets() {
  return call("GET", "/presets");
}

/** @param {"photo" | "style" | "clip"} kind @returns {Promise<Picture[]>} newest first */
export async function pictures(kind) {
  return call("GET", `/pictures?kind=${kind}`);
}

/**
 * Uploads a file and waits until the server has looked at it.
 * @param {"photo" | "style" | "mask" | "clip"} kind
 * @param {Blob} file
 * @param {string} name
 * @param {(share: number) => void} [tell] how much is sent
 * @returns {Promise<Picture>} one that is ready
 */
export async function upload(kind, file, name, tell) {
  const { limits, csrf } = me ?? (await whoAmI());
  if (file.size > (kind === "clip" ? limits.clip_bytes : limits.upload_bytes)) throw new ApiError("too_large", "");
  if (file.size === 0) throw new ApiError("empty", "");
  let picture = await new Promise((resolve, reject) => {
    // fetch cannot tell how much of a body is sent.
    const request = new XMLHttpRequest();
    request.open("POST", `/api/pictures?kind=${kind}&name=${encodeURIComponent(name)}`);
    request.setRequestHeader("X-Impasto-CSRF", csrf);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) tell?.(event.loaded / event.total);
    });
    request.addEventListener("load", () => {
      if (request.status < 300) resolve(request.response);
      else reject(refusal(request.status, request.response));
    });
    request.addEventListener("error", () => {
      lost();
      reject(new ApiError("offline", ""));
    });
    request.send(file);
  });
  while (picture.state === "reading") {
    picture = await call("GET", `/pictures/${picture.id}?wait=5`);
  }
  if (picture.state === "refused") {
    const { fault } = picture;
    throw new ApiError(fault?.code ?? "refused", fault?.message ?? "");
  }
  return picture;
}

/**
 * What to show of an upload: the very same file that was there before, or else itself.
 * @param {Picture[]} own @param {Picture} picture just uploaded
 */
export async function notTwice(own, picture) {
  const before = own.find(
    (one) => one.id !== picture.id && !one.deleted && one.sha256 === picture.sha256,
  );
  if (!before) return picture;
  // One too many is no reason to bother anybody.
  await call("DELETE", `/pictures/${picture.id}`).catch(() => {});
  return before;
}

/** @param {string} source a picture's id, `style:NAME` or `sample:NAME` @param {"thumb" | "view"} size */
export function pictureUrl(source, size) {
  const [kind, name] = source.split(":");
  if (kind === "style" || kind === "sample") return `/api/${kind}s/${name}/${size}`;
  return `/api/pictures/${encodeURIComponent(source)}/${size}`;
}

/** @param {JobRequest & {label?: string}} request @returns {Promise<Job>} */
export function startJob(request) {
  return call("POST", "/jobs", request);
}
