// Elements and texts. Nothing here, or anywhere else in the page, makes HTML from a text.

/** Return the element with this id. */
export const find = (id) => document.getElementById(id);

/** Return a new element; `children` are elements, texts or null, properties are set as they are. */
export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** Return a button that calls `action`, and is disabled while it runs. */
export function button(text, label, action, className = "") {
  const made = make("button", { type: "button", className }, text);
  if (label !== text) made.setAttribute("aria-label", label);
  made.addEventListener("click", () => busy(made, action));
  return made;
}

/** Run `action`; meanwhile `control` is disabled. A problem is shown at the top of the page. */
export async function busy(control, action) {
  control.disabled = true;
  showProblem(null);
  try {
    await action();
  } catch (error) {
    showProblem(error);
  } finally {
    control.disabled = false;
  }
}

/** Let a form call `action` when it is sent; the button that sends it is disabled meanwhile. */
export function onSubmit(id, action) {
  find(id).addEventListener("submit", (event) => {
    event.preventDefault();
    busy(find(id).querySelector("button[type=submit]"), action);
  });
}

/** Show what went wrong, or nothing. */
export function showProblem(error) {
  const place = find("problem");
  place.hidden = error === null || error?.name === "AbortError";
  place.textContent = place.hidden ? "" : problemText(error);
}

/** Return a sentence about an error; a mistake of the page itself is logged for its authors. */
export function problemText(error) {
  if (error?.isProblem) return error.message;
  console.error(error);
  return "The page made a mistake. Load it again.";
}

/** Return a time in the reader's language and time zone; a dash for null. */
export function time(text) {
  if (text === null) return "–";
  const at = new Date(text);
  const shown = at.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
  return make("time", { dateTime: text, title: text }, shown);
}

/** Return a size for people, such as "1.4 MB". */
export function bytes(number) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = number;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

/** Return a row of a table; the first cell is its header. */
export function row(first, ...cells) {
  const header = make("th", { scope: "row" }, first);
  return make("tr", {}, header, ...cells.map((cell) => (cell.tagName === "TD" ? cell : make("td", {}, cell))));
}

/** Let the browser save a text or a blob as a file. */
export function save(content, name, type) {
  const url = URL.createObjectURL(new Blob([content], { type }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

/** Replace the children of an element; a table without rows says so. */
export function fill(element, children, nothing) {
  element.replaceChildren(...children);
  if (children.length > 0 || element.tagName !== "TBODY") return;
  const columns = element.closest("table").querySelectorAll("thead th").length;
  element.append(make("tr", {}, make("td", { colSpan: columns, className: "note" }, nothing)));
}
