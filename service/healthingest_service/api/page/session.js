// The session: the access token is in this module's memory only, the refresh token in a cookie
// that no script can read. Each request of the page sends the access token itself.
import { noteLimits } from "./pace.js";

let token = null;
let account = null;
let validUntil = 0;
let refreshing = null;
let onEnd = () => {};
/** Milliseconds before its end at which a token counts as old, so that it lasts for a request. */
const MARGIN = 30_000;

/** A refusal of the service, or no answer at all (`status` 0). */
export class Problem extends Error {
  constructor(status, document, retryAfter = null) {
    super(document.detail);
    this.isProblem = true;
    this.status = status;
    this.code = (document.type ?? "").split("/").pop();
    this.findings = document.findings ?? [];
    this.retryAfter = retryAfter === null ? null : Number(retryAfter);
  }
}

/** The problem of a request that got no answer. */
export const noAnswer = () => new Problem(0, { detail: "The service does not answer now. Try again later." });

/** Return the address of a path of the API, also if an ingress serves it below another path. */
export const address = (path) => new URL(path, document.baseURI);

/** Return the problem of an answer. */
export async function problemOf(answer) {
  const document = await answer.json().catch(() => ({}));
  const detail = document.detail ?? `The service answered ${answer.status}.`;
  return new Problem(answer.status, { ...document, detail }, answer.headers.get("Retry-After"));
}

/** Call `action` when the session has ended. */
export function whenEnded(action) {
  onEnd = action;
}

/** Continue the session of the cookie; return whether there is one. */
export async function resume() {
  return keep(await ask("POST", "ui/session/refresh"));
}

/** Sign in with a password. */
export async function signIn(email, password) {
  keep(await ask("POST", "ui/session", { email, password }));
}

/** Sign in with the code of an identity provider. */
export async function signInWithCode(code) {
  keep(await ask("POST", "ui/session/code", code));
}

/** Request a mail with a link to choose a new password. */
export async function requestNewPassword(email) {
  await ask("POST", "auth/forgot-password", { email });
}

/** End the session. */
export async function signOut() {
  try {
    await ask("DELETE", "ui/session");
  } catch (error) {
    if (error.status !== 401) throw error; // else it has ended already
  }
  forget();
}

/** Forget the token, and show the sign-in. */
export function forget() {
  token = null;
  account = null;
  onEnd();
}

/** Return a valid access token; several callers share one refresh. */
export async function accessToken() {
  if (token !== null && Date.now() < validUntil) return token;
  refreshing ??= resume().finally(() => {
    refreshing = null;
  });
  try {
    if (await refreshing) return token;
  } catch (error) {
    if (error.status !== 401) throw error;
  }
  forget();
  throw new Problem(401, { detail: "Your session has ended. Sign in again." });
}

function keep(given) {
  if (given === null) return false;
  const owner = ownerOf(given.access_token);
  if (account !== null && account !== owner) {
    // Another tab has signed in as somebody else: nothing may go on as that account.
    location.reload();
    throw new Problem(401, { detail: "Another account has signed in. The page is loaded again." });
  }
  account = owner;
  token = given.access_token;
  validUntil = Date.now() + given.expires_in * 1000 - MARGIN;
  return true;
}

/** Return the account of an access token, whose second part is Base64 of JSON (RFC 7519). */
function ownerOf(text) {
  return JSON.parse(atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"))).sub;
}

/** Send a request about the session; the header is one that no other site can send. */
async function ask(method, path, document = null) {
  const headers = { "Healthingest-Page": "1" };
  if (document !== null) headers["Content-Type"] = "application/json";
  const body = document === null ? null : JSON.stringify(document);
  let answer;
  try {
    answer = await fetch(address(path), { method, headers, body, credentials: "same-origin" });
  } catch {
    throw noAnswer();
  }
  noteLimits(answer.headers.get("RateLimit"));
  if (!answer.ok) throw await problemOf(answer);
  return answer.headers.get("Content-Type")?.startsWith("application/json") ? answer.json() : null;
}
