// The dialog that asks before something cannot be undone.
import { find } from "./dom.js";

/**
 * Ask, and return whether the user agrees.
 *
 * With `typed` the user must type this text, so that nobody agrees by mistake.
 */
export function confirmed({ title, text, agree, typed = null }) {
  const dialog = find("confirm");
  const input = find("confirm-input");
  find("confirm-title").textContent = title;
  find("confirm-text").textContent = text;
  find("confirm-yes").textContent = agree;
  find("confirm-typed").hidden = typed === null;
  find("confirm-label").textContent = `Type ${typed} to go on`;
  input.value = "";
  const match = () => {
    find("confirm-yes").disabled = typed !== null && input.value !== typed;
  };
  match();
  return new Promise((resolve) => {
    const ending = new AbortController();
    const { signal } = ending;
    input.addEventListener("input", match, { signal });
    find("confirm-no").addEventListener("click", () => dialog.close("no"), { signal });
    find("confirm-form").addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close("yes");
    }, { signal });
    dialog.addEventListener("close", () => {
      ending.abort();
      for (const id of ["confirm-title", "confirm-text", "confirm-label"]) find(id).replaceChildren();
      input.value = "";
      resolve(dialog.returnValue === "yes");
    }, { signal });
    dialog.returnValue = "no";
    dialog.showModal();
    (typed === null ? find("confirm-no") : input).focus();
  });
}
