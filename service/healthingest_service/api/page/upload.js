// The view that sends files: a queue, of which two files are sent at a time.
import { bytes, find, make, problemText } from "./dom.js";
import { addFindings, clearFindings } from "./findings.js";
import { forgetUploads } from "./kept.js";
import { DEFAULT_STUDY, chosenStudy, hasRole } from "./study.js";
import { ResumableUpload } from "./tus.js";

/** The service allows four uploads of an account at a time; other tabs and devices need some. */
const AT_A_TIME = 2;
const PSEUDONYM = /^[A-Za-z0-9._-]{1,64}$/;
const items = new Set();

/** Connect the view. */
export function connectUpload() {
  const input = find("files");
  input.addEventListener("change", () => {
    add([...input.files]);
    input.value = "";
  });
  connectDrop(find("drop"));
  find("pause-all").addEventListener("click", () => items.forEach(pauseItem));
  find("continue-all").addEventListener("click", () => items.forEach(continueItem));
  find("clear").addEventListener("click", clear);
  window.addEventListener("beforeunload", (event) => {
    if (count("waiting", "sending", "paused") > 0) event.preventDefault();
  });
}

/** Show what the chosen study needs: a subject, unless it is the default one. */
export function showUpload() {
  find("about").hidden = chosenStudy() === DEFAULT_STUDY;
  const mayUpload = chosenStudy() === DEFAULT_STUDY || hasRole("uploader");
  find("files").disabled = !mayUpload;
  if (!mayUpload) summary("You have no role in this study that allows uploads.");
  else summarise();
}

/** Stop all uploads, and forget them: another user may sign in. */
export function stopUploads() {
  for (const item of items) {
    item.controller.abort();
    item.state = "stopped";
  }
  items.clear();
  forgetUploads();
  find("queue").replaceChildren();
  clearFindings();
  summarise();
}

function connectDrop(place) {
  const over = (event) => {
    event.preventDefault();
    place.classList.toggle("over", event.type === "dragover");
  };
  for (const type of ["dragover", "dragleave", "drop"]) place.addEventListener(type, over);
  // A file that misses the place would replace the page.
  for (const type of ["dragover", "drop"]) {
    window.addEventListener(type, (event) => event.preventDefault());
  }
  place.addEventListener("drop", (event) => {
    const entries = [...event.dataTransfer.items].filter((one) => one.kind === "file");
    const folders = entries.filter((one) => one.webkitGetAsEntry()?.isDirectory).length;
    if (folders > 0) summary("Folders are not taken: drop the files in them.");
    else if (!find("files").disabled) add([...event.dataTransfer.files]);
  });
}

function add(files) {
  const about = aboutOf();
  if (about === null) {
    summary("Enter the subject first: 1 to 64 characters of A-Z, a-z, 0-9, dot, underscore, hyphen.");
    find("subject").focus();
    return;
  }
  for (const file of files) {
    const item = { file, upload: new ResumableUpload(file, about), state: "waiting", note: "" };
    item.controller = new AbortController();
    item.element = elementOf(item);
    items.add(item);
    find("queue").append(item.element);
    show(item);
  }
  pump();
}

/** Return the study and the subject of new files; null if the subject is missing or wrong. */
function aboutOf() {
  const study = chosenStudy();
  if (study === DEFAULT_STUDY) return {};
  const subject = find("subject").value.trim();
  return PSEUDONYM.test(subject) ? { study, subject } : null;
}

/** Begin the next files, as far as few enough are being sent. */
function pump() {
  for (const item of items) {
    if (count("sending") >= AT_A_TIME) break;
    if (item.state === "waiting") run(item);
  }
  summarise();
}

async function run(item) {
  const { signal } = item.controller;
  change(item, "sending");
  const onProgress = (sent, note) => {
    item.element.querySelector("progress").value = sent;
    if (note !== item.note) change(item, item.state, note);
  };
  try {
    await item.upload.send({ signal, onProgress });
    change(item, "accepted");
  } catch (error) {
    if (signal.aborted) return; // paused or stopped, and perhaps continued since
    const isRefused = error.isProblem && error.status >= 400 && error.status < 500;
    const isExplained = isRefused && error.findings.length > 0;
    const why = isExplained ? "the table below says why" : problemText(error);
    change(item, isRefused ? "refused" : "failed", why);
    if (isRefused) addFindings(item.file.name, error);
  } finally {
    pump();
  }
}

function pauseItem(item) {
  if (item.state !== "sending" && item.state !== "waiting") return;
  change(item, "paused");
  item.controller.abort();
}

function continueItem(item) {
  if (item.state !== "paused" && item.state !== "failed") return;
  item.controller = new AbortController();
  change(item, "waiting");
  pump();
}

function clear() {
  for (const item of items) {
    if (item.state !== "accepted" && item.state !== "refused") continue;
    items.delete(item);
    item.element.remove();
  }
  clearFindings();
  summarise();
  find("files").focus();
}

function elementOf(item) {
  const name = item.file.name;
  const size = make("span", { className: "size" }, ` ${bytes(item.file.size)}`);
  const bar = make("progress", { max: Math.max(1, item.file.size), value: 0 });
  bar.setAttribute("aria-label", name);
  const control = make("button", { type: "button" });
  control.addEventListener("click", () => {
    if (item.state === "sending" || item.state === "waiting") pauseItem(item);
    else continueItem(item);
  });
  const shown = make("span", { className: "name" }, name, size);
  return make("li", {}, shown, bar, make("span", { className: "state" }), control);
}

const STATES = {
  waiting: ["waits", "Pause"],
  sending: ["is sent", "Pause"],
  paused: ["paused", "Continue"],
  accepted: ["accepted", ""],
  refused: ["refused", ""],
  failed: ["failed", "Try again"],
};

function change(item, state, note = "") {
  item.state = state;
  item.note = note;
  if (items.has(item)) show(item);
  summarise();
}

function show(item) {
  const [text, action] = STATES[item.state];
  const shown = item.element.querySelector(".state");
  shown.textContent = item.state === "failed" || item.note ? `${text}: ${item.note}` : text;
  shown.classList.toggle("state-good", item.state === "accepted");
  shown.classList.toggle("state-bad", item.state === "refused" || item.state === "failed");
  const control = item.element.querySelector("button");
  if (action === "" && document.activeElement === control) find("files").focus();
  control.hidden = action === "";
  control.textContent = action;
  control.setAttribute("aria-label", `${action} ${item.file.name}`);
  if (item.state === "accepted") item.element.querySelector("progress").value = item.file.size;
}

const count = (...states) => [...items].filter((item) => states.includes(item.state)).length;

function summarise() {
  find("queue-actions").hidden = items.size === 0;
  if (items.size === 0) {
    summary("");
    return;
  }
  const parts = Object.keys(STATES).map((state) => [count(state), STATES[state][0]]);
  const shown = parts.filter(([number]) => number > 0).map(([number, text]) => `${number} ${text}`);
  summary(`${items.size} files: ${shown.join(", ")}.`);
}

/** Say something once: a repeated text would be read aloud again. */
function summary(text) {
  if (find("upload-summary").textContent !== text) find("upload-summary").textContent = text;
}
