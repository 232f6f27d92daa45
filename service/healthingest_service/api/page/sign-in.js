// The view that signs in.
import { busy, find, onSubmit } from "./dom.js";
import { providerButtons } from "./provider.js";
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

/** Show the providers at which users can sign in. */
export async function showProviders() {
  find("forgot-note").textContent = "";
  find("providers").replaceChildren(...(await providerButtons()));
}
