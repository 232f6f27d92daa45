// The view of devices: enrolment codes, the tokens of a study, and those of the own account.
import { call, list, path } from "./api.js";
import { confirmed } from "./dialog.js";
import { button, busy, fill, find, make, onSubmit, row, time } from "./dom.js";
import { qrCode } from "./qr.js";
import { address } from "./session.js";
import { chosenStudy, hasRole } from "./study.js";

let enrolment = null;

/** Connect the view. */
export function connectDevices() {
  onSubmit("enrol-form", enrol);
  onSubmit("token-form", makeToken);
  find("cancel-code").addEventListener("click", () => busy(find("cancel-code"), cancelCode));
}

/** Show the tokens of the account, and those of the study to its managers. */
export async function showDevices() {
  hideSecrets();
  find("enrolment").hidden = !hasRole("manager");
  if (hasRole("manager")) await showStudyTokens();
  await showTokens();
}

/** Remove the codes and tokens that were shown. */
export function hideSecrets() {
  enrolment = null;
  find("enrolled").hidden = true;
  find("made").hidden = true;
  for (const id of ["qr", "code", "enrolled-note", "token-text"]) find(id).replaceChildren();
}

async function enrol() {
  const subject = find("enrol-subject").value.trim();
  const document = { valid_minutes: Number(find("valid").value) };
  if (subject !== "") document.subject = subject;
  enrolment = await call("POST", path`v1/studies/${chosenStudy()}/enrolments`, { document });
  const about = subject === "" ? "for all subjects" : `for ${subject}`;
  find("qr").replaceChildren(qrCode(withServer(enrolment.qr), `QR code to enrol a device ${about}`));
  find("code").textContent = enrolment.code;
  const until = make("span", {}, `It is ${about} of ${enrolment.study}, and valid until `);
  find("enrolled-note").replaceChildren(until, time(enrolment.expires_at), ".");
  find("enrolled").hidden = false;
  find("title-enrolled").focus();
}

/** Add this service to the text of the code, if the service does not know its own address. */
function withServer(text) {
  if (text.includes("server=")) return text;
  return `${text}&server=${encodeURIComponent(address(".").href.replace(/\/$/, ""))}`;
}

async function cancelCode() {
  await call("DELETE", path`v1/studies/${enrolment.study}/enrolments/${enrolment.id}`);
  hideSecrets();
  find("title-devices").focus();
}

async function makeToken() {
  const document = {
    name: find("token-name").value,
    expires_in_days: Number(find("token-days").value),
  };
  const made = await call("POST", "v1/tokens", { document });
  find("token-text").textContent = made.token;
  find("made").hidden = false;
  find("title-made").focus();
  await showTokens();
}

async function showTokens() {
  const { tokens } = await call("GET", "v1/tokens");
  showRows("token-rows", tokens, (one) => path`v1/tokens/${one.id}`, showTokens);
}

async function showStudyTokens() {
  const study = chosenStudy();
  const tokens = await list(path`v1/studies/${study}/tokens`, "tokens");
  const where = (one) => path`v1/studies/${study}/tokens/${one.id}`;
  showRows("study-token-rows", tokens, where, showStudyTokens);
}

function showRows(id, tokens, where, again) {
  const rows = tokens.map((one) =>
    row(
      one.name,
      one.subject ?? (one.study === null ? "–" : "all"),
      time(one.created_at),
      one.last_used_at === null ? "never" : time(one.last_used_at),
      one.expires_at === null ? "never" : time(one.expires_at),
      button("Revoke…", `Revoke ${one.name}`, () => revoke(one, where(one), again), "danger"),
    ),
  );
  fill(find(id), rows, "No tokens.");
}

async function revoke(token, where, again) {
  const text = "The device cannot upload any more. This takes effect within seconds.";
  const agreed = await confirmed({ title: `Revoke ${token.name}?`, text, agree: "Revoke" });
  if (!agreed) return;
  await call("DELETE", where);
  await again();
  find("title-devices").focus();
}
