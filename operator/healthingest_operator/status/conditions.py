"""
Builds `status.conditions` from updates; a transition time changes only with the status.

kstatus (sigs.k8s.io/cli-utils, "kstatus") reads `Ready`, `Reconciling` and `Stalled`. The latter
two are present only while they are True.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.manifest import Manifest, ManifestView

Condition: TypeAlias = ManifestView

DEPENDENCIES: Final = (
    ConditionType.SECRETS_READY,
    ConditionType.BUCKET_READY,
    ConditionType.BROKER_READY,
    ConditionType.TOPOLOGY_READY,
    ConditionType.DATABASE_READY,
)


@dataclass(frozen=True, slots=True)
class Polarity:
    """
    How to interpret the status of a condition.

    `normal` is the status in regular operation; a change to the other status causes a warning
    event. `required_for_ready`: `Ready` is False unless this condition has its normal status.
    """

    normal: bool = True
    required_for_ready: bool = True


POLARITY: Final[Mapping[ConditionType, Polarity]] = {
    **dict.fromkeys((*DEPENDENCIES, ConditionType.WORKLOAD_AVAILABLE), Polarity()),
    ConditionType.READY: Polarity(required_for_ready=False),
    ConditionType.CACHE_READY: Polarity(required_for_ready=False),
    ConditionType.READER_READY: Polarity(required_for_ready=False),
    ConditionType.ROUTE_READY: Polarity(required_for_ready=False),
    ConditionType.RECONCILING: Polarity(normal=False, required_for_ready=False),
    ConditionType.STALLED: Polarity(normal=False, required_for_ready=False),
    ConditionType.DRIFTED: Polarity(normal=False, required_for_ready=False),
    ConditionType.PAUSED: Polarity(normal=False, required_for_ready=False),
}
"""One row for each condition type."""

REQUIRED_FOR_READY: Final = tuple(
    kind for kind, polarity in POLARITY.items() if polarity.required_for_ready
)

NEEDS_PEOPLE: Final = frozenset(
    {
        Reason.INVALID_SPEC,
        Reason.RESOURCE_CONFLICT,
        Reason.SECRET_KEY_MISSING,
        Reason.SECRET_VALUE_INVALID,
        Reason.ERASURE_KEY_MISSING,
        Reason.ERASURE_KEY_CHANGED,
        Reason.CREDENTIALS_MISSING,
        Reason.AUTHENTICATION_FAILED,
        Reason.PERMISSION_DENIED,
        Reason.REQUEST_REFUSED,
        Reason.BUCKET_TAKEN,
        Reason.CAPABILITY_MISSING,
        Reason.TOPOLOGY_CONFLICT,
        Reason.TOPOLOGY_INCOMPLETE,
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
        Reason.CERTIFICATE_UNTRUSTED,
        Reason.CERTIFICATE_EXPIRED,
        Reason.CERTIFICATE_NAME_MISMATCH,
        Reason.CA_BUNDLE_INVALID,
        Reason.DATABASE_READ_ONLY,
        Reason.DATABASE_REPLACED,
        Reason.OBJECT_STORE_REPLACED,
        Reason.OBJECT_LOCK_MISSING,
        Reason.SCHEMA_UNKNOWN,
        Reason.SCALED_TO_ZERO,
    }
)
"""
Reasons that need a person; with them a HealthIngest is `Stalled`.

`SecretNotFound` and `CaBundleNotFound` are not in the set, because the object may be created a
moment later.
"""


WARNINGS: Final = frozenset({Reason.SECRET_VALUE_TRIMMED, Reason.OBJECT_LOCK_NOT_IN_SPEC})
"""Reasons whose transition causes a warning event although the condition has its normal status."""


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """
    The observed status of one condition.

    `generation` is set only when it was observed for an earlier generation.
    """

    type: ConditionType
    is_true: bool
    reason: Reason
    message: str
    generation: int | None = None


def condition_true(
    kind: ConditionType, message: str, reason: Reason = Reason.PROVISIONED
) -> ConditionUpdate:
    """Return an update to True; `POLARITY` says whether that is good news."""
    return ConditionUpdate(kind, is_true=True, reason=reason, message=message)


def condition_false(kind: ConditionType, reason: Reason, message: str) -> ConditionUpdate:
    """Return an update to False; `POLARITY` says whether that is good news."""
    return ConditionUpdate(kind, is_true=False, reason=reason, message=message)


def drift(healed: Sequence[str], before: Condition | None) -> ConditionUpdate:
    """Return `Drifted`: True with *healed*, else False with the message of *before*."""
    if healed:
        return condition_true(
            ConditionType.DRIFTED, f"healed: {'; '.join(healed)}", Reason.DRIFT_HEALED
        )
    message = before["message"] if before else "nothing was changed by others"
    return condition_false(ConditionType.DRIFTED, Reason.PROVISIONED, message)


def summary(updates: Iterable[ConditionUpdate]) -> list[ConditionUpdate]:
    """
    Return *updates* with `Ready`, `Reconciling` and `Stalled` derived from them.

    *updates* that contain `Ready` are returned unchanged.
    """
    found = list(updates)
    if any(update.type is ConditionType.READY for update in found):
        return found
    failing = [
        update for update in found if update.type in REQUIRED_FOR_READY and not update.is_true
    ]
    if failing:
        return [*_not_ready(failing), *found]
    if {update.type for update in found} >= set(REQUIRED_FOR_READY):
        message = "uploads are accepted and announced"
        return [condition_true(ConditionType.READY, message, Reason.AVAILABLE), *found]
    message = "not every part has been checked yet"
    return [condition_false(ConditionType.READY, Reason.PROGRESSING, message), *found]


def _not_ready(failing: Sequence[ConditionUpdate]) -> list[ConditionUpdate]:
    """Return `Ready` with the first cause of *failing*, and `Stalled` or `Reconciling`."""
    # A condition that waits for another one does not explain the failure.
    causes = [
        update for update in failing if update.reason is not Reason.WAITING_FOR_DEPENDENCIES
    ] or failing
    first = min(causes, key=lambda update: update.reason not in NEEDS_PEOPLE)
    is_stalled = any(update.reason in NEEDS_PEOPLE for update in failing)
    progress = ConditionType.STALLED if is_stalled else ConditionType.RECONCILING
    return [
        condition_false(ConditionType.READY, first.reason, first.message),
        condition_true(progress, first.message, first.reason),
    ]


def remembered(previous: Sequence[Condition]) -> list[ConditionUpdate]:
    """
    Return the conditions of an earlier reconciliation, without `Reconciling`, `Stalled`, `Paused`.

    They keep the generation that they were observed for: a paused HealthIngest may have a new spec.
    """
    passing = {ConditionType.RECONCILING, ConditionType.STALLED, ConditionType.PAUSED}
    return [
        ConditionUpdate(
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
    updates: Iterable[ConditionUpdate], previous: Sequence[Condition], generation: int, now: str
) -> list[Manifest]:
    """
    Return the list for the status; *now* is RFC 3339.

    `lastTransitionTime` is the time of the last change of status, as in the Kubernetes API
    conventions. A previous condition without an update is dropped, because its status is unknown.
    """
    known = {condition["type"]: condition for condition in previous}
    built = []
    for update in updates:
        status = "True" if update.is_true else "False"
        before = known.get(update.type.value)
        since = before["lastTransitionTime"] if before and before["status"] == status else now
        built.append(
            {
                "type": update.type.value,
                "status": status,
                "reason": update.reason.value,
                "message": update.message,
                "observedGeneration": update.generation or generation,
                "lastTransitionTime": since,
            }
        )
    return built


def transitions(previous: Sequence[Condition], current: Sequence[Condition]) -> list[Condition]:
    """
    Return the conditions whose status or reason changed; each is worth an event.

    `Reconciling` is left out, because it repeats another condition.
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
