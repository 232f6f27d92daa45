// The studies of the user, the chosen one, and its subjects.
import { list, path } from "./api.js";
import { find, make, showProblem } from "./dom.js";

/** The study of uploads that name none; it has no subjects. */
export const DEFAULT_STUDY = "default";
let studies = new Map();
let offered = null;

/** Connect the choice of the study; `action` is called whenever another one is chosen. */
export function connectStudy(action) {
  find("study").addEventListener("change", action);
  document.addEventListener("focusin", (event) => {
    if (event.target.getAttribute("list") === "subjects") offerSubjects();
  });
}

/** Ask for the studies of the user, and let one be chosen. */
export async function loadStudies() {
  const found = await list("v1/studies", "studies");
  studies = new Map(found.filter((one) => one.roles.length > 0).map((one) => [one.slug, one]));
  const options = [...studies.values()].map((one) =>
    make("option", { value: one.slug }, one.state === "open" ? one.name : `${one.name} (closed)`),
  );
  const none = make("option", { value: DEFAULT_STUDY }, "no study");
  find("study").replaceChildren(...options, none);
  offered = null;
}

/** Return the slug of the chosen study. */
export const chosenStudy = () => find("study").value;

/** Return whether the user has one of these roles in the chosen study. */
export const hasRole = (...roles) =>
  roles.some((role) => studies.get(chosenStudy())?.roles.includes(role) ?? false);

/**
 * Offer the subjects of the chosen study, when one is about to be entered.
 *
 * Not before: each reading of the list is an event of the audit log.
 */
async function offerSubjects() {
  const study = chosenStudy();
  if (offered === study) return;
  offered = study;
  find("subjects").replaceChildren();
  if (!hasRole("reader", "manager")) return;
  try {
    const found = await list(path`v1/studies/${study}/subjects`, "subjects");
    const active = found.filter((one) => one.state === "active" && offered === study);
    find("subjects").append(...active.map((one) => make("option", { value: one.subject })));
  } catch (error) {
    showProblem(error);
  }
}
