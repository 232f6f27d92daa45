// The page: it signs in, and shows one view at a time. The view is in the fragment of the address.
import { connectCoverage, showCoverage } from "./coverage.js";
import { connectDevices, hideSecrets, showDevices } from "./devices.js";
import { busy, find, showProblem } from "./dom.js";
import { clearErasure, connectErasure, hideErasure, showErasure } from "./erasure.js";
import { connectHistory, hideHistory, showHistory } from "./history.js";
import { finishSignIn } from "./provider.js";
import { resume, signOut, whenEnded } from "./session.js";
import { connectSignIn, showProviders, stopSearch } from "./sign-in.js";
import { connectStudy, loadStudies } from "./study.js";
import { connectUpload, showUpload, stopUploads } from "./upload.js";

const nothing = () => {};
const VIEWS = {
  upload: { show: showUpload, hide: nothing },
  history: { show: showHistory, hide: hideHistory },
  devices: { show: showDevices, hide: hideSecrets },
  coverage: { show: showCoverage, hide: nothing },
  erasure: { show: showErasure, hide: hideErasure },
};
let isSignedIn = false;
let current = null;

function viewInAddress() {
  const name = location.hash.slice(1);
  return name in VIEWS ? name : "upload";
}

/** Show a view; with `focus` its title gets the focus, so that screen readers read it. */
async function show(name, { focus }) {
  VIEWS[current]?.hide();
  current = name;
  for (const section of document.querySelectorAll("main > section")) {
    section.hidden = section.id !== `view-${name}`;
  }
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const title = find(`title-${name}`);
  document.title = `${title.textContent} – HealthIngest`;
  showProblem(null);
  if (focus) title.focus();
  try {
    await VIEWS[name]?.show();
  } catch (error) {
    showProblem(error);
  }
}

async function enter() {
  isSignedIn = true;
  stopSearch();
  find("signed-in").hidden = false;
  find("views").hidden = false;
  await loadStudies();
  await show(viewInAddress(), { focus: true });
}

/** Remove what the views have shown, and what was entered: another user may come. */
function forgetContents() {
  for (const body of document.querySelectorAll("tbody")) body.replaceChildren();
  const places = ["history-note", "coverage-note", "heat-days", "record-type", "subjects", "study"];
  for (const id of places) find(id).replaceChildren();
  for (const input of document.querySelectorAll("main input:not([type=number], [type=date])")) {
    input.value = "";
  }
}

async function leave() {
  isSignedIn = false;
  stopUploads();
  clearErasure();
  hideSecrets();
  forgetContents();
  find("signed-in").hidden = true;
  find("views").hidden = true;
  await show("sign-in", { focus: true });
  await showProviders();
}

/** Return whether a session goes on, or a sign-in at a provider ends here. */
async function hasSession() {
  try {
    return (await finishSignIn()) || (await resume());
  } catch (error) {
    if (error.status !== 401) throw error;
    return false;
  }
}

function start() {
  connectSignIn(enter);
  connectUpload();
  connectHistory();
  connectDevices();
  connectCoverage();
  connectErasure();
  whenEnded(leave);
  connectStudy(() => {
    if (isSignedIn && current !== null) show(current, { focus: false });
  });
  find("sign-out").addEventListener("click", () => busy(find("sign-out"), signOut));
  window.addEventListener("hashchange", () => {
    if (isSignedIn && location.hash !== "#main") show(viewInAddress(), { focus: true });
  });
}

start();
try {
  if (await hasSession()) await enter();
  else await leave();
} catch (error) {
  await leave();
  showProblem(error);
}
