// Why files were refused: where, what, and what to do. A finding never has a value of a record.
import { find, make, row } from "./dom.js";

/** Add the findings of a refused file; a problem without findings is shown as one. */
export function addFindings(name, problem) {
  const remedy = { message: problem.message, remedy: REMEDIES[problem.code] ?? "" };
  const findings = problem.findings.length > 0 ? problem.findings : [remedy];
  find("finding-rows").append(
    ...findings.map((one) => {
      const what = make("span", {}, one.message, one.limit ? ` (limit: ${one.limit})` : "");
      return row(name, placeOf(one), what, one.remedy);
    }),
  );
  find("findings").hidden = false;
}

/** Remove all findings. */
export function clearFindings() {
  find("finding-rows").replaceChildren();
  find("findings").hidden = true;
}

/** Return the place of a finding, from the outside to the inside; numbers count from 0. */
export function placeOf(finding) {
  const parts = [
    ["block ", finding.block],
    ["record ", finding.record],
    ["field ", finding.path],
    ["schema ", finding.pointer],
    ["near ", finding.path ? null : finding.nearest_name],
    ["byte ", finding.offset],
  ];
  const known = parts.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return known.map(([label, value]) => label + value).join(", ") || "the file";
}

const REMEDIES = {
  "consent-missing": "Ask a manager of the study to record the consent.",
  "file-too-large": "Split the file, or ask for a higher limit.",
  "record-type-not-permitted": "Choose the study for this record type, or ask a manager to permit it.",
  "subject-erased": "Enrol the subject anew with a new consent, or choose another subject.",
  "subject-missing": "Enter the subject, and send the file again.",
  "subject-not-enrolled": "Check the pseudonym, or ask a manager to enrol the subject.",
  "subject-withdrawn": "The subject has left the study: send nothing more about it.",
  "study-closed": "Ask a manager to open the study.",
  "upload-erased": "This file was erased, and is not accepted again.",
};
