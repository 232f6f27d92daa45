// The view of what came: a heat map of uploads by subject and day.
import { call, path, send } from "./api.js";
import { busy, fill, find, make, onSubmit, row, save } from "./dom.js";
import { chosenStudy, hasRole } from "./study.js";

const DAY = 86_400_000;
/** Rows of the answer (a day, subject and type each) that are shown; the CSV has all of them. */
const MOST_ROWS = 20_000;
const MOST_GAPS = 200;

/** Connect the view. */
export function connectCoverage() {
  find("last-day").value = new Date().toISOString().slice(0, 10);
  onSubmit("coverage-form", showMap);
  find("coverage-csv").addEventListener("click", () => busy(find("coverage-csv"), saveCsv));
}

/** Show the coverage of the chosen study to its readers and managers. */
export async function showCoverage() {
  const canRead = hasRole("reader", "manager");
  find("coverage-form").hidden = !canRead;
  find("heat-map").hidden = !canRead;
  find("gaps").hidden = !canRead;
  find("record-type").replaceChildren(make("option", { value: "" }, "all types"));
  if (canRead) await showMap();
  else find("coverage-note").textContent = "Readers and managers of a study see its coverage.";
}

async function showMap() {
  const query = range();
  const rows = await allRows(query);
  offerTypes(rows);
  const days = daysOf(query.first_day, query.last_day);
  const subjects = bySubject(rows);
  const most = Math.max(1, ...rows.map((one) => one.uploads));
  find("heat-days").replaceChildren(headOf(days));
  const lines = [...subjects].map(([subject, cells]) => lineOf(subject, days, cells, most));
  fill(find("heat-rows"), lines, "Nothing came in these days.");
  await showGaps(query);
  const total = rows.reduce((sum, one) => sum + one.uploads, 0);
  const more = rows.length >= MOST_ROWS ? " There are more: download the CSV." : "";
  find("coverage-note").textContent =
    `${total} uploads about ${subjects.size === 1 ? "1 subject" : `${subjects.size} subjects`}, ${query.first_day} to ${query.last_day} (UTC).${more}`;
}

/** Show the days without uploads; today is not over. */
async function showGaps(query) {
  const yesterday = new Date(Date.now() - DAY).toISOString().slice(0, 10);
  const last_day = query.last_day < yesterday ? query.last_day : yesterday;
  const asked = { query: { ...query, last_day, limit: MOST_GAPS } };
  const { gaps } =
    query.first_day > last_day ? { gaps: [] } : await call("GET", path`v1/studies/${chosenStudy()}/gaps`, asked);
  const rows = gaps.map((one) => {
    const days = make("td", { className: "number" }, String(one.days));
    return row(one.subject, one.record_type ?? "any", one.first_day, one.last_day, days);
  });
  fill(find("gap-rows"), rows, "No gaps.");
}

/** Return the days and the type of the form, as the API takes them. */
function range() {
  const last = find("last-day").value;
  const first = new Date(Date.parse(last) - (Number(find("days").value) - 1) * DAY);
  return {
    first_day: first.toISOString().slice(0, 10),
    last_day: last,
    record_type: find("record-type").value,
  };
}

async function allRows(query) {
  const rows = [];
  let after = {};
  do {
    const asked = { query: { ...query, ...after } };
    const page = await call("GET", path`v1/studies/${chosenStudy()}/coverage`, asked);
    rows.push(...page.coverage);
    const next = page.next_after;
    after = next && { after_day: next.day, after_subject: next.subject, after_type: next.record_type };
  } while (after !== null && rows.length < MOST_ROWS);
  return rows;
}

function offerTypes(rows) {
  const place = find("record-type");
  const known = new Set([...place.options].map((one) => one.value));
  const types = [...new Set(rows.map((one) => one.record_type))].filter((one) => !known.has(one));
  place.append(...types.sort().map((one) => make("option", { value: one }, one)));
}

export function daysOf(first, last) {
  const number = (Date.parse(last) - Date.parse(first)) / DAY + 1;
  return Array.from({ length: number }, (_, n) => new Date(Date.parse(first) + n * DAY).toISOString().slice(0, 10));
}

/** Return the cells of each subject: by day, the number of uploads and what they were. */
function bySubject(rows) {
  const subjects = new Map();
  for (const one of rows) {
    const cells = subjects.get(one.subject) ?? new Map();
    const cell = cells.get(one.day) ?? { uploads: 0, types: [] };
    cell.uploads += one.uploads;
    cell.types.push(`${one.uploads} × ${one.record_type}`);
    cells.set(one.day, cell);
    subjects.set(one.subject, cells);
  }
  return new Map([...subjects].sort(([one], [other]) => (one < other ? -1 : 1)));
}

function headOf(days) {
  const cells = days.map((day) => {
    const month = make("span", { className: "heard" }, day.slice(0, 8));
    return make("th", { scope: "col", title: day }, month, day.slice(8));
  });
  return make("tr", {}, make("th", { scope: "col" }, "Subject"), ...cells);
}

function lineOf(subject, days, cells, most) {
  const made = days.map((day) => {
    const cell = cells.get(day);
    if (cell === undefined) return make("td", { className: "heat-0" });
    const level = Math.min(4, Math.ceil((cell.uploads / most) * 4));
    const title = `${day}: ${cell.types.join(", ")}`;
    return make("td", { className: `heat-${level}`, title }, String(cell.uploads));
  });
  return make("tr", {}, make("th", { scope: "row" }, subject), ...made);
}

async function saveCsv() {
  if (!find("coverage-form").reportValidity()) return;
  const options = { query: { ...range(), format: "csv" } };
  const answer = await send("GET", path`v1/studies/${chosenStudy()}/coverage`, options);
  save(await answer.blob(), `${chosenStudy()}-coverage.csv`, "text/csv");
}
