// The view of erasures: request one, watch it, and keep its certificate.
import { call, path } from "./api.js";
import { confirmed } from "./dialog.js";
import { find, make, onSubmit, save, showProblem, time } from "./dom.js";
import { poll } from "./pace.js";
import { chosenStudy, hasRole } from "./study.js";

let watching = new AbortController();
let shown = null;

/** Connect the view. */
export function connectErasure() {
  onSubmit("erase-form", eraseSubject);
  onSubmit("find-erasure", async () => {
    const found = await call("GET", path`v1/erasures/${find("erasure-id").value.trim()}`);
    watch(found);
  });
  find("save-certificate").addEventListener("click", () => {
    save(shown.certificate, `erasure-${shown.erasure_id}.jws`, "application/jose");
  });
}

/** Show the form to managers of the chosen study. */
export function showErasure() {
  find("erase-form").hidden = !hasRole("manager");
  if (shown !== null && shown.state !== "done") watch(shown);
}

/** Stop watching. */
export function hideErasure() {
  watching.abort();
}

/** Forget what is shown: another user may sign in. */
export function clearErasure() {
  hideErasure();
  shown = null;
  find("erasure").hidden = true;
  find("erasure-fields").replaceChildren();
  find("certificate-text").value = "";
}

/** Erase an upload, and show its erasure. */
export async function eraseUpload(id) {
  const found = await call("DELETE", path`v1/uploads/${id}`);
  location.hash = "erasure";
  watch(found);
}

async function eraseSubject() {
  const subject = find("erase-subject").value.trim();
  const agreed = await confirmed({
    title: `Erase all data about ${subject}?`,
    text: "All files about the subject, its consent and its pseudonym are removed for ever. This cannot be cancelled.",
    agree: "Erase",
    typed: subject,
  });
  if (!agreed) return;
  watch(await call("POST", path`v1/studies/${chosenStudy()}/subjects/${subject}/erasure`));
  find("erase-subject").value = "";
}

/** Show an erasure, and look at it until it is done. */
async function watch(erasure) {
  hideErasure();
  watching = new AbortController();
  const { signal } = watching;
  render(erasure);
  find("title-certificate").focus();
  if (erasure.state === "done") return;
  try {
    await poll(async () => {
      const found = await call("GET", path`v1/erasures/${erasure.erasure_id}`, { signal });
      render(found);
      return found.state === "done";
    }, signal);
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  }
}

const STATES = {
  requested: "requested: it begins soon",
  holding: "in its hold time",
  running: "in progress",
  blocked: "blocked by a lock of the object store",
  done: "done",
};

function render(erasure) {
  shown = erasure;
  const counts = erasure.counts;
  const fields = [
    ["Id", erasure.erasure_id],
    ["What", erasure.kind],
    ["Study", erasure.study],
    ["Requested", time(erasure.requested_at)],
    ["Begins", time(erasure.starts_at)],
    ["Blocked until", erasure.blocked_until && time(erasure.blocked_until)],
    ["Done", erasure.done_at && time(erasure.done_at)],
    ["Removed uploads", String(counts.uploads)],
    ["Removed versions of objects", String(counts.versions)],
    ["Messages withdrawn", String(counts.withdrawn)],
    ["Uploads that consumers were told of", String(counts.announced)],
  ].filter(([, value]) => value !== null);
  find("erasure-fields").replaceChildren(
    ...fields.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]),
  );
  find("erasure-state").textContent = `The erasure is ${STATES[erasure.state]}.`;
  find("certificate").hidden = erasure.certificate === null;
  find("certificate-text").value = erasure.certificate ?? "";
  find("erasure").hidden = false;
}
