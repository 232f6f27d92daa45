// Requests to the API with the access token of the session.
import { noteLimits } from "./pace.js";
import { accessToken, address, forget, noAnswer, problemOf } from "./session.js";

/** Send a request and return the answer; a refusal is thrown as a `Problem`. */
export async function send(method, path, { query = {}, document = null, headers = {}, signal } = {}) {
  const url = address(path);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== "") url.searchParams.set(name, value);
  }
  const all = { Authorization: `Bearer ${await accessToken()}`, ...headers };
  if (document !== null) all["Content-Type"] = "application/json";
  const body = document === null ? null : JSON.stringify(document);
  let answer;
  try {
    answer = await fetch(url, { method, headers: all, body, signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw noAnswer();
  }
  noteLimits(answer.headers.get("RateLimit"));
  if (answer.ok) return answer;
  const problem = await problemOf(answer);
  if (problem.code === "invalid-token") forget();
  throw problem;
}

/** Send a request and return the document of the answer; null if it has none. */
export async function call(method, path, options) {
  const answer = await send(method, path, options);
  return answer.status === 204 ? null : answer.json();
}

/** Return up to `most` entries of a list that comes in pages. */
export async function list(path, name, most = 300) {
  const found = [];
  let cursor = null;
  do {
    const page = await call("GET", path, { query: { limit: 100, cursor } });
    found.push(...page[name]);
    cursor = page.next_cursor;
  } while (cursor !== null && found.length < most);
  return found;
}

/** Return a path with its values encoded: `path`v1/studies/${slug}`` */
export const path = (parts, ...values) =>
  String.raw({ raw: parts }, ...values.map((value) => encodeURIComponent(value)));
