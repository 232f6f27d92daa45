// Sign-in at an identity provider: authorization code with PKCE (RFC 7636, RFC 9700).
import { make } from "./dom.js";
import { address, signInWithCode } from "./session.js";

const KEPT = "healthingest-sign-in";
/** The address of this page, as the settings of the provider name it. */
const here = () => location.origin + location.pathname;

/**
 * Return the providers that return to this page, null if the service does not tell them.
 *
 * One that does not answer has no `authorization_endpoint`.
 */
export async function findProviders() {
  const answer = await fetch(address("auth/oidc"), { credentials: "omit" }).catch(() => null);
  if (!answer?.ok) return null;
  const { providers } = await answer.json();
  return providers.filter((one) => one.redirect_uris.includes(here()));
}

/** Return the button that goes to a provider; it is disabled if the provider does not answer. */
export function providerButton(provider) {
  const isAway = provider.authorization_endpoint === null;
  const text = isAway ? `${provider.name} does not answer; trying again` : `Sign in with ${provider.name}`;
  const made = make("button", { type: "button", disabled: isAway }, text);
  made.addEventListener("click", () => leave(provider));
  return made;
}

/** Go to the provider. What proves the return stays in this tab. */
async function leave(provider) {
  const kept = { issuer: provider.issuer, state: random(), nonce: random(), verifier: random() };
  sessionStorage.setItem(KEPT, JSON.stringify(kept));
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(kept.verifier));
  const url = new URL(provider.authorization_endpoint);
  const query = {
    response_type: "code",
    client_id: provider.client_id,
    redirect_uri: here(),
    scope: provider.scopes.join(" "),
    state: kept.state,
    nonce: kept.nonce,
    code_challenge: base64url(new Uint8Array(digest)),
    code_challenge_method: "S256",
  };
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  location.assign(url);
}

/** Finish a sign-in if the browser comes back from a provider; return whether it does. */
export async function finishSignIn() {
  const given = new URLSearchParams(location.search);
  const kept = JSON.parse(sessionStorage.getItem(KEPT) ?? "null");
  sessionStorage.removeItem(KEPT);
  if (location.search) history.replaceState(null, "", location.pathname + location.hash);
  if (kept === null || !given.has("code") || given.get("state") !== kept.state) return false;
  const code = {
    issuer: kept.issuer,
    code: given.get("code"),
    code_verifier: kept.verifier,
    redirect_uri: here(),
    nonce: kept.nonce,
  };
  if (given.has("iss")) code.iss = given.get("iss");
  await signInWithCode(code);
  return true;
}

const random = () => base64url(crypto.getRandomValues(new Uint8Array(32)));

function base64url(bytes) {
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
