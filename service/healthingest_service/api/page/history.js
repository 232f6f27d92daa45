// The view of uploads with their states.
import { call, path, send } from "./api.js";
import { confirmed } from "./dialog.js";
import { busy, button, bytes, fill, find, make, row, save, showProblem, time } from "./dom.js";
import { eraseUpload } from "./erasure.js";
import { poll } from "./pace.js";
import { DEFAULT_STUDY, chosenStudy, hasRole } from "./study.js";

const PAGE_SIZE = 50;
const STATES = {
  storing: "is stored",
  stored: "stored, not announced yet",
  announced: "announced to consumers",
  lost: "lost: send the file again",
};
let polling = new AbortController();
let cursor = null;
let shown = new Map();

/** Connect the view. */
export function connectHistory() {
  find("refresh").addEventListener("click", () => busy(find("refresh"), showHistory));
  find("whose").addEventListener("change", () => busy(find("whose"), showHistory));
  find("more").addEventListener("click", () => busy(find("more"), showMore));
}

/** Show the newest uploads. Own ones that are not announced yet are looked at again and again. */
export async function showHistory() {
  hideHistory();
  const canRead = hasRole("reader", "manager");
  find("whose").querySelector("option[value=study]").disabled = !canRead;
  if (!canRead) find("whose").value = "own";
  const page = await newest();
  cursor = page.next_cursor;
  shown = new Map(page.uploads.map((one) => [one.upload_id, one]));
  render();
  // Each look at the uploads of a study is an event of the audit log: only the user causes those.
  if (find("whose").value === "own") watch(polling.signal);
}

/** Stop looking. */
export function hideHistory() {
  polling.abort();
  polling = new AbortController();
}

async function watch(signal) {
  try {
    if (isSettled()) return;
    await poll(async () => {
      const page = await newest(signal);
      for (const one of page.uploads.reverse()) {
        if (!shown.has(one.upload_id)) shown = new Map([[one.upload_id, one], ...shown]);
        else shown.set(one.upload_id, one);
      }
      update();
      return isSettled();
    }, signal);
  } catch (error) {
    if (error.name !== "AbortError") showProblem(error);
  }
}

const isSettled = () =>
  ![...shown.values()].some((one) => one.state === "storing" || one.state === "stored");

function newest(signal) {
  return ask(null, signal);
}

function ask(after, signal) {
  const isOwn = find("whose").value === "own";
  const where = isOwn ? "v1/uploads" : path`v1/studies/${chosenStudy()}/uploads`;
  return call("GET", where, { query: { limit: PAGE_SIZE, cursor: after }, signal });
}

async function showMore() {
  const page = await ask(cursor);
  cursor = page.next_cursor;
  for (const one of page.uploads) shown.set(one.upload_id, one);
  render();
}

function render() {
  fill(find("history-rows"), [...shown.values()].map(rowOf), "No uploads yet.");
  find("more").hidden = cursor === null;
  note();
}

/** Change the states in place, so that the focus stays where it is. */
function update() {
  const rows = new Map([...find("history-rows").rows].map((one) => [one.dataset.upload, one]));
  if ([...shown.keys()].some((id) => !rows.has(id))) {
    render();
    return;
  }
  for (const one of shown.values()) {
    rows.get(one.upload_id).querySelector(".upload-state").textContent = STATES[one.state];
  }
  note();
}

function note() {
  const states = [...shown.values()].map((one) => one.state);
  const waiting = states.filter((one) => one === "storing" || one === "stored").length;
  const text = `${shown.size} uploads, ${waiting} not announced yet.`;
  if (find("history-note").textContent !== text) find("history-note").textContent = text;
}

function rowOf(upload) {
  const name = `${upload.record_type}, ${upload.upload_id}`;
  const mayErase = find("whose").value === "own" || hasRole("manager");
  const actions = make(
    "div",
    { className: "actions" },
    button("Download", `Download ${name}`, () => download(upload)),
    mayErase ? button("Erase…", `Erase ${name}`, () => erase(upload), "danger") : null,
  );
  const isDefault = upload.study === DEFAULT_STUDY;
  const made = row(
    time(upload.received_at),
    upload.record_type,
    isDefault ? "–" : upload.study,
    isDefault ? "–" : upload.subject,
    make("td", { className: "number" }, String(upload.record_count)),
    make("td", { className: "number" }, bytes(upload.file_size_bytes)),
    make("span", { className: "upload-state" }, STATES[upload.state]),
    actions,
  );
  made.dataset.upload = upload.upload_id;
  return made;
}

async function download(upload) {
  const answer = await send("GET", path`v1/uploads/${upload.upload_id}/content`);
  const name = `${upload.record_type}-${upload.upload_id}.avro`.replaceAll(/[^A-Za-z0-9._-]/g, "_");
  save(await answer.blob(), name, "application/avro");
}

async function erase(upload) {
  const agreed = await confirmed({
    title: "Erase this upload?",
    text: "The file, its rows and its message are removed for ever, and the same file is refused from now on.",
    agree: "Erase",
  });
  if (agreed) await eraseUpload(upload.upload_id);
}
