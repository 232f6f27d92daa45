// The view that signs in.
import { busy, find, onSubmit } from "./dom.js";
import { poll } from "./pace.js";
import { findProviders, providerButton } from "./provider.js";
import { requestNewPassword, signIn } from "./session.js";

/** Connect the form; `done` is called after a sign-in. */
export function connectSignIn(done) {
  onSubmit("password-form", async () => {
    const password = find("password");
    await signIn(find("email").value, password.value);
    password.value = "";
    await done();
  });
  find("forgot").addEventListener("click", () => {
    if (find("email").reportValidity()) busy(find("forgot"), forgot);
  });
}

async function forgot() {
  await requestNewPassword(find("email").value);
  find("forgot-note").textContent = "If an account has this address, a mail with a link is on its way.";
}

let search = null;

/** Show the providers at which users can sign in; ask again while one of them does not answer. */
export async function showProviders() {
  find("forgot-note").textContent = "";
  stopSearch();
  search = new AbortController();
  const { signal } = search;
  let shown = null;
  const look = async () => {
    const providers = await findProviders();
    if (providers === null || signal.aborted) return signal.aborted;
    const state = JSON.stringify(providers);
    // A button that stays keeps the focus.
    if (state !== shown) find("providers").replaceChildren(...providers.map(providerButton));
    shown = state;
    return providers.every((one) => one.authorization_endpoint !== null);
  };
  if (!(await look())) poll(look, signal).catch(() => {});
}

/** Ask for the providers no more: the user has signed in. */
export function stopSearch() {
  search?.abort();
}
