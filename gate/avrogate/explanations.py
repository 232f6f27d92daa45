"""
Message, remedy and JSON object of a finding.

None of them contains text or values of the file.
"""

from dataclasses import asdict, dataclass, replace
from typing import Final

from avrogate.cause_table import CAUSES
from avrogate.explanation_table import EXPLANATIONS, LIMIT
from avrogate.policy import MIB, Policy
from avrogate.results import Code, Finding, RefusedError

_KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class ExplainedFinding:
    """The message and the remedy of one finding."""

    message: str
    remedy: str


def explain(finding: Finding) -> ExplainedFinding:
    """Return the message and the remedy of the cause of *finding*, or else of its code."""
    explanation = CAUSES[finding.cause] if finding.cause is not None else EXPLANATIONS[finding.code]
    message = explanation.message.replace(LIMIT, size_of(explanation.limit, finding.limit))
    return ExplainedFinding(message, explanation.remedy)


def finding_to_json(finding: Finding) -> dict[str, str | int | None]:
    """
    Return *finding* as a JSON object: code, message and remedy, then the place.

    Members that are not known are null.
    """
    words = explain(finding)
    place = asdict(finding)
    return {"code": place.pop("code"), "message": words.message, "remedy": words.remedy, **place}


def with_limits(refused: RefusedError, policy: Policy) -> RefusedError:
    """Return *refused* with the limits of *policy* that were exceeded in its findings."""
    return RefusedError(*(_with_limit(finding, policy) for finding in refused.findings))


def limit_of(code: Code, policy: Policy) -> int | None:
    """Return the limit of *policy* that *code* is about, or None if it is about no limit."""
    name = EXPLANATIONS[code].limit
    limit: int | None = None if name is None else getattr(policy, name)
    return limit


def _with_limit(finding: Finding, policy: Policy) -> Finding:
    limit = limit_of(finding.code, policy)
    return finding if limit is None else replace(finding, limit=limit)


def size_of(name: str | None, limit: int | None) -> str:
    """Return the limit as text: bytes as MiB or KiB if they are a multiple of it."""
    if name is None or limit is None:
        return "allowed"
    if not name.endswith("_bytes"):
        return f"{limit:,}"
    for unit, word in ((MIB, "MiB"), (_KIB, "KiB")):
        if limit and limit % unit == 0:
            return f"{limit // unit:,} {word}"
    return f"{limit:,} bytes"
