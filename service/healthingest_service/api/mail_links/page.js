// The page of a link in a mail. The token is in the fragment, which the browser does not send.
// A request is sent only when the button is pressed: programs that check mails follow links.
"use strict";
const token = location.hash.slice(1);
const resets = location.pathname.endsWith("/reset-password");
const find = (id) => document.getElementById(id);
history.replaceState(null, "", location.pathname);
find("title").textContent = resets ? "Choose a new password" : "Confirm your e-mail address";
find("form").hidden = !token;
find("field").hidden = !resets;
find("password").required = resets;
if (!token) find("message").textContent = "Open the whole link of the mail.";
find("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  find("send").disabled = true;
  const body = resets ? { token, password: find("password").value } : { token };
  try {
    const answer = await fetch(resets ? "reset-password" : "verify", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
    if (answer.ok) {
      find("form").hidden = true;
      find("message").textContent = resets ? "The password was changed." : "The address is confirmed.";
      return;
    }
    find("message").textContent = (await answer.json()).detail;
  } catch {
    find("message").textContent = "The service does not answer now. Try again later.";
  }
  find("send").disabled = false;
});
