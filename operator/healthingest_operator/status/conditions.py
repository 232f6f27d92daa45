"""
Findings to `status.conditions`, keeping the times of transitions.

`Ready`, `Reconciling` and `Stalled` are read by kstatus (sigs.k8s.io/cli-utils, "kstatus"): the
latter two are present only while they are true.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from healthingest_contract.conditions import ConditionType, Reason

Condition = Mapping[str, Any]

DEPENDENCIES: Final = (
    ConditionType.SECRETS_READY,
    ConditionType.BUCKET_READY,
    ConditionType.BROKER_READY,
    ConditionType.TOPOLOGY_READY,
    ConditionType.DATABASE_READY,
)
PARTS: Final = (*DEPENDENCIES, ConditionType.WORKLOAD_AVAILABLE)
BESIDE: Final = frozenset({ConditionType.DRIFTED, ConditionType.CACHE_READY})
"""Conditions that may be False while uploads are accepted and announced."""

NEEDS_PEOPLE: Final = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.RESOURCE_CONFLICT,
        Reason.SECRET_KEY_MISSING,
        Reason.SECRET_VALUE_INVALID,
        Reason.AUTHENTICATION_FAILED,
        Reason.PERMISSION_DENIED,
        Reason.REQUEST_REFUSED,
        Reason.BUCKET_TAKEN,
        Reason.CAPABILITY_MISSING,
        Reason.TOPOLOGY_CONFLICT,
        Reason.MIGRATION_FAILED,
        Reason.FIELD_CONFLICT,
        Reason.ROLLOUT_FAILED,
        Reason.IMAGE_PULL_FAILED,
        Reason.QUOTA_EXCEEDED,
        Reason.ADMISSION_REFUSED,
        Reason.POD_START_FAILED,
        Reason.CRASH_LOOPING,
        Reason.WRONG_PROTOCOL,
        Reason.TLS_FAILED,
        Reason.DATABASE_READ_ONLY,
        Reason.DATABASE_REPLACED,
        Reason.OBJECT_STORE_REPLACED,
        Reason.SCHEMA_UNKNOWN,
        Reason.SCALED_TO_ZERO,
    }
)
"""
Reasons that do not pass by themselves.

A missing Secret is none: it may come with the next apply.
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One condition as it was found.

    `generation` only when that was at an earlier one than is looked at now.
    """

    type: ConditionType
    holds: bool
    reason: Reason
    message: str
    generation: int | None = None


def good(kind: ConditionType, message: str, reason: Reason = Reason.PROVISIONED) -> Finding:
    """It is as it should be (or, for `Drifted`, `Stalled` and their like, it is so)."""
    return Finding(kind, holds=True, reason=reason, message=message)


def bad(kind: ConditionType, reason: Reason, message: str) -> Finding:
    """It is not."""
    return Finding(kind, holds=False, reason=reason, message=message)


def drift(healed: Sequence[str], before: Condition | None) -> Finding:
    """What was healed now; else what was healed last, as *before* said it."""
    if healed:
        return good(ConditionType.DRIFTED, f"healed: {'; '.join(healed)}", Reason.DRIFT_HEALED)
    message = before["message"] if before else "nothing was changed by others"
    return bad(ConditionType.DRIFTED, Reason.PROVISIONED, message)


def summary(findings: Iterable[Finding]) -> list[Finding]:
    """
    *findings* with `Ready`, `Reconciling` and `Stalled` as they follow.

    Given `Ready`, they are complete already.
    """
    found = list(findings)
    if any(finding.type is ConditionType.READY for finding in found):
        return found
    failing = [finding for finding in found if finding.type in PARTS and not finding.holds]
    if not failing:
        everything = {finding.type for finding in found} >= set(PARTS)
        if everything:
            return [
                good(ConditionType.READY, "uploads are accepted and announced", Reason.AVAILABLE),
                *found,
            ]
        return [
            bad(ConditionType.READY, Reason.PROGRESSING, "not everything was looked at yet"),
            *found,
        ]
    # What waits for others explains nothing: the first cause does.
    causes = [
        finding for finding in failing if finding.reason is not Reason.WAITING_FOR_DEPENDENCIES
    ] or failing
    first = min(causes, key=lambda finding: finding.reason not in NEEDS_PEOPLE)
    top = [bad(ConditionType.READY, first.reason, first.message)]
    stuck = [finding for finding in failing if finding.reason in NEEDS_PEOPLE]
    if stuck:
        return [*top, good(ConditionType.STALLED, first.message, first.reason), *found]
    return [*top, good(ConditionType.RECONCILING, first.message, first.reason), *found]


def remembered(previous: Sequence[Condition]) -> list[Finding]:
    """
    Findings of an earlier pass, but for those that say that work is under way.

    They keep the generation that they were found for: what a paused HealthIngest was, its new spec
    need not be.
    """
    passing = {ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED}
    return [
        Finding(
            ConditionType(entry["type"]),
            entry["status"] == "True",
            Reason(entry["reason"]),
            entry["message"],
            entry.get("observedGeneration"),
        )
        for entry in previous
        if entry["type"] in set(ConditionType) - passing and entry["reason"] in set(Reason)
    ]


def conditions(
    findings: Iterable[Finding], previous: Sequence[Condition], generation: int, now: str
) -> list[dict[str, Any]]:
    """
    The list for the status; *now* is RFC 3339.

    A condition's time is that of its last change of status, as in the Kubernetes API conventions.
    One that was found before and was not looked at now is not carried over: nobody knows whether it
    still holds.
    """
    known = {condition["type"]: condition for condition in previous}
    built = []
    for finding in findings:
        status = "True" if finding.holds else "False"
        before = known.get(finding.type.value)
        since = before["lastTransitionTime"] if before and before["status"] == status else now
        built.append(
            {
                "type": finding.type.value,
                "status": status,
                "reason": finding.reason.value,
                "message": finding.message,
                "observedGeneration": finding.generation or generation,
                "lastTransitionTime": since,
            }
        )
    return built


def transitions(previous: Sequence[Condition], current: Sequence[Condition]) -> list[Condition]:
    """
    Conditions whose status or reason changed: what is worth an event.

    `Reconciling` repeats others.
    """
    before = {
        condition["type"]: (condition["status"], condition["reason"]) for condition in previous
    }
    return [
        condition
        for condition in current
        if condition["type"] != ConditionType.RECONCILING.value
        and before.get(condition["type"]) != (condition["status"], condition["reason"])
    ]
