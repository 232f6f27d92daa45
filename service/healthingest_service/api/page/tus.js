// A resumable upload by tus 1.0.0 (https://tus.io/protocols/resumable-upload). Requests with bytes
// use XMLHttpRequest, because fetch does not tell how many bytes were sent.
import { keep, keptId, keyOf } from "./kept.js";
import { noteLimits, pause, waitFor } from "./pace.js";
import { Problem, accessToken, address, noAnswer } from "./session.js";

const VERSION = "1.0.0";
const BYTES = "application/offset+octet-stream";
/** Files up to this size are sent with the request that begins the upload. */
const WHOLE_BYTES = 256 * 1024;
/**
 * Failed requests in a row without a new byte after which the upload waits for its user. They last
 * longer than the two minutes in which the same bytes are refused after a process was killed.
 */
const MOST_FAILURES = 12;
/** Problems that may pass; status 0 is a connection that broke. */
const MAY_PASS = new Set([0, 408, 423, 429, 500, 502, 503, 504]);
/** Problems after which the offset is asked for, or the upload begins again. */
const ASK_OFFSET = new Set(["upload-offset-mismatch", "upload-replaced", "upload-in-flight", "body-incomplete"]);
const GONE = new Set([404, 410]);
const BEGIN_AGAIN = new Set(["resumable-upload-not-found", "resumable-upload-ended", "too-many-parts"]);

/** A file that is sent in as many requests as it takes. */
export class ResumableUpload {
  /** `about` has `study` and `subject`, or neither. The file's name is not sent: it may name a person. */
  constructor(file, about) {
    this.file = file;
    this.about = about;
    this.id = null;
    this.key = null;
    this.sentBytes = 0;
    this.isLastByteAlone = false;
  }

  /**
   * Send what the service does not have yet, and return the id of the accepted upload.
   *
   * `onProgress(bytes, note)` is called often. An aborted `signal` stops it; calling again goes on.
   */
  async send({ signal, onProgress }) {
    let failures = 0;
    this.key ??= await keyOf(this.file, this.about);
    this.id ??= keptId(this.key);
    for (;;) {
      const before = this.sentBytes;
      try {
        const accepted = await this.#sendOnce(signal, onProgress);
        this.#note(null);
        return accepted;
      } catch (error) {
        if (!this.#mayGoOn(error)) throw error;
        // The service keeps the other bytes, so that only one is sent again until it accepts them.
        if (error.code === "upload-in-flight") this.isLastByteAlone = true;
        failures = this.sentBytes > before ? 0 : failures + (error.status === 429 ? 0 : 1);
        if (failures >= MOST_FAILURES) throw error;
        const seconds = error.retryAfter ?? Math.min(30, 2 ** failures);
        onProgress(this.sentBytes, `${error.message} Goes on in ${duration(seconds)}.`);
        await pause(seconds * 1000, signal);
      }
    }
  }

  #mayGoOn(error) {
    if (!error.isProblem) return false;
    // The answer to HEAD has no problem document.
    const isGone = BEGIN_AGAIN.has(error.code) || (error.code === "" && GONE.has(error.status));
    if (isGone) this.#note(null);
    return isGone || MAY_PASS.has(error.status) || ASK_OFFSET.has(error.code);
  }

  #note(id) {
    this.id = id;
    keep(this.key, id);
  }

  async #sendOnce(signal, onProgress) {
    let offset = 0;
    if (this.id === null) {
      const answer = await this.#begin(signal, onProgress);
      if (answer.header("Healthingest-Upload-Id")) return answer.header("Healthingest-Upload-Id");
      this.#note(answer.header("Location").split("/").pop());
    } else {
      const answer = await this.#request("HEAD", this.#path(), {}, null, signal);
      if (answer.header("Healthingest-Upload-Id")) return answer.header("Healthingest-Upload-Id");
      offset = Number(answer.header("Upload-Offset"));
    }
    this.sentBytes = offset;
    const last = this.file.size - 1;
    if (this.isLastByteAlone && offset < last) {
      await this.#append(offset, last, signal, onProgress);
      offset = last;
    }
    const answer = await this.#append(offset, this.file.size, signal, onProgress);
    return answer.header("Healthingest-Upload-Id");
  }

  #append(offset, end, signal, onProgress) {
    const headers = { "Upload-Offset": String(offset), "Content-Type": BYTES };
    const part = this.file.slice(offset, end);
    return this.#request("PATCH", this.#path(), headers, part, signal, (sent) => {
      this.sentBytes = offset + sent;
      onProgress(this.sentBytes, "");
    });
  }

  async #begin(signal, onProgress) {
    const wait = waitFor("uploads");
    if (wait > 0) {
      onProgress(0, `The service limits the number of uploads. Goes on in ${duration(wait / 1000)}.`);
      await pause(wait, signal);
    }
    const headers = { "Upload-Length": String(this.file.size) };
    const pairs = Object.entries(this.about).map(([name, value]) => `${name} ${btoa(value)}`);
    if (pairs.length > 0) headers["Upload-Metadata"] = pairs.join(",");
    const isWhole = this.file.size > 0 && this.file.size <= WHOLE_BYTES;
    if (isWhole) headers["Content-Type"] = BYTES;
    return this.#request("POST", "v1/files", headers, isWhole ? this.file : null, signal, (sent) => {
      this.sentBytes = isWhole ? sent : 0;
      onProgress(this.sentBytes, "");
    });
  }

  #path() {
    return `v1/files/${this.id}`;
  }

  async #request(method, path, headers, body, signal, onSent = () => {}) {
    const token = await accessToken();
    const all = { Authorization: `Bearer ${token}`, "Tus-Resumable": VERSION, ...headers };
    return exchange({ method, url: address(path), headers: all, body, signal, onSent });
  }
}

const duration = (seconds) =>
  seconds < 120 ? `${Math.ceil(seconds)} s` : `${Math.ceil(seconds / 60)} minutes`;

/** Send one request; resolves to the answer's headers, rejects with a `Problem`. */
function exchange({ method, url, headers, body, signal, onSent }) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const stop = () => request.abort();
    signal?.addEventListener("abort", stop, { once: true });
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onabort = () => reject(signal.reason);
    request.onerror = () => reject(noAnswer());
    request.onload = () => {
      const header = (name) => request.getResponseHeader(name);
      noteLimits(header("RateLimit"));
      if (request.status < 300) resolve({ header });
      else reject(problemIn(request));
    };
    request.onloadend = () => signal?.removeEventListener("abort", stop);
    request.send(body);
  });
}

function problemIn(request) {
  const fallback = { detail: `The service answered ${request.status}.` };
  let document = fallback;
  try {
    document = { ...fallback, ...JSON.parse(request.responseText) };
  } catch {
    // an answer of a proxy, or to HEAD, has no problem document
  }
  return new Problem(request.status, document, request.getResponseHeader("Retry-After"));
}
