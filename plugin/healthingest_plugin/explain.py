"""
Decides why a HealthIngest is not ready: the cause, what follows from it, what is independent of it.

The order: a deletion, an operator that does not work, a pause, a status that is missing or old,
and then the conditions. A condition that only waits for another, or fails because of it, is a
consequence.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from healthingest_contract.conditions import API_GROUP, ConditionType, Reason
from healthingest_operator.status.conditions import POLARITY, REQUIRED_FOR_READY
from healthingest_plugin import faults
from healthingest_plugin.faults import Fault
from healthingest_plugin.known_causes import KnownCause, known_cause
from healthingest_plugin.model import KubernetesObject, ObjectRef, ServiceView, Snapshot
from healthingest_plugin.operator_state import OperatorFault, operator_fault

FINALIZER: Final = f"{API_GROUP}/cleanup"
RELEASE_PATCH: Final = """--type=merge --patch '{"metadata":{"finalizers":null}}'"""
_IN_PROGRESS: Final = frozenset(
    {
        Reason.PROGRESSING.value,
        Reason.WAITING_FOR_DEPENDENCIES.value,
        Reason.MIGRATION_RUNNING.value,
        Reason.ROLLOUT_PROGRESSING.value,
    }
)
_SYMPTOMS_OF_DEPENDENCIES: Final = frozenset(
    {
        Reason.WAITING_FOR_DEPENDENCIES.value,
        Reason.ROLLOUT_PROGRESSING.value,
        Reason.ROLLOUT_FAILED.value,
        Reason.ANNOUNCEMENTS_STALLED.value,
    }
)
"""Reasons of `WorkloadAvailable` that follow from a dependency that fails."""
_EXTERNAL: Final = (
    ConditionType.BUCKET_READY.value,
    ConditionType.BROKER_READY.value,
    ConditionType.DATABASE_READY.value,
)
_SHARED_FAULTS: Final[Mapping[str, Fault]] = {
    Reason.NAME_NOT_FOUND.value: faults.ALL_NAMES_UNKNOWN,
    Reason.UNREACHABLE.value: faults.ALL_UNREACHABLE,
}
_NAMED: Final = (
    ("Pod", re.compile(r"\bpod ([a-z0-9][a-z0-9.-]*)")),
    ("Job", re.compile(r"\bJob ([a-z0-9][a-z0-9.-]*)")),
    ("Deployment", re.compile(r"\bDeployment ([a-z0-9][a-z0-9.-]*)")),
    ("Secret", re.compile(r"\bSecret (?:[a-z0-9-]+/)?([a-z0-9][a-z0-9.-]*)")),
    ("ConfigMap", re.compile(r"\bConfigMap (?:[a-z0-9-]+/)?([a-z0-9][a-z0-9.-]*)")),
)
_WITH_LOG: Final = frozenset({Reason.CRASH_LOOPING.value, Reason.MIGRATION_FAILED.value})


@dataclass(frozen=True, slots=True)
class Finding:
    """
    One thing that is wrong.

    `condition` is empty for what no condition reports. `where` is the object to look at, `command`
    shows it. `code` is that of the operator's table of causes, if exactly one row fits.
    """

    reason: str
    message: str
    remedy: str
    condition: str = ""
    code: str = ""
    where: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    Why a HealthIngest is not ready; `cause` is None when nothing is wrong.

    `others` are independent of the cause, `consequences` end with it. `notes` say what limits the
    answer.
    """

    namespace: str
    name: str
    is_ready: bool
    cause: Finding | None = None
    others: tuple[Finding, ...] = ()
    consequences: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as an object for JSON."""
        found = asdict(self)
        return {"isReady": found.pop("is_ready"), **found}


def explain(snapshot: Snapshot) -> Explanation:
    """Return the explanation of a snapshot."""
    conditions = _of_conditions(snapshot)
    outside = _outside_status(snapshot)
    findings = [*outside, *conditions]
    cause = findings[0] if findings else None
    consequences = _consequences(snapshot, cause, findings[1:])
    return Explanation(
        snapshot.namespace,
        snapshot.name,
        is_ready=_is_ready(snapshot),
        cause=cause,
        others=tuple(found for found in findings[1:] if found not in consequences),
        consequences=tuple(consequences),
        notes=tuple(_notes(snapshot)),
    )


def _is_ready(snapshot: Snapshot) -> bool:
    ready = snapshot.conditions.get(ConditionType.READY.value) or {}
    return ready.get("status") == "True" and snapshot.is_observed


# Outside the status


def _outside_status(snapshot: Snapshot) -> list[Finding]:
    """Return what no condition reports: a deletion, the operator, a pause, an old status."""
    operator = operator_fault(snapshot)
    if snapshot.body["metadata"].get("deletionTimestamp"):
        return _of_deletion(snapshot, operator)
    found = [] if operator is None else [_of_operator(operator)]
    if (snapshot.body.get("spec") or {}).get("paused"):
        found.append(_of_pause(snapshot))
    elif operator is None and not snapshot.is_observed:
        found.append(_of_old_status(snapshot))
    return found


def _of_operator(found: OperatorFault) -> Finding:
    where = found.where
    return Finding(
        found.fault.reason,
        found.message,
        found.remedy,
        where=str(where or ""),
        command=where.command() if where else "kubectl get deployments --all-namespaces",
    )


def _of_deletion(snapshot: Snapshot, operator: OperatorFault | None) -> list[Finding]:
    finalizers = snapshot.body["metadata"].get("finalizers") or []
    others = [name for name in finalizers if name != FINALIZER]
    if FINALIZER in finalizers and operator is not None:
        return [
            _fault(
                faults.DELETION_WAITS,
                snapshot.ref,
                finalizer=FINALIZER,
                why=operator.message,
                remedy=operator.remedy,
                command=f"{snapshot.ref.command('patch')} {RELEASE_PATCH}",
            )
        ]
    if FINALIZER not in finalizers and others:
        return [_fault(faults.DELETION_BLOCKED, snapshot.ref, finalizers=", ".join(others))]
    ready = snapshot.conditions.get(ConditionType.READY.value) or {}
    if ready.get("reason") == Reason.DELETING.value:
        return []
    return [_fault(faults.DELETING, snapshot.ref)]


def _of_pause(snapshot: Snapshot) -> Finding:
    generation = snapshot.body["metadata"].get("generation")
    seen = {
        entry.get("observedGeneration")
        for kind, entry in snapshot.conditions.items()
        if kind != ConditionType.PAUSED.value
    }
    changed = bool(seen) and generation not in seen
    note = "; the spec was changed since it last worked" if changed else ""
    command = f"kubectl healthingest resume {snapshot.name} --namespace {snapshot.namespace}"
    return _fault(faults.PAUSED, snapshot.ref, seen=note, command=command)


def _of_old_status(snapshot: Snapshot) -> Finding:
    observed = snapshot.status.get("observedGeneration", -1)
    if observed == -1:
        return _fault(faults.NOT_OBSERVED, snapshot.ref)
    generation = snapshot.body["metadata"].get("generation")
    return _fault(faults.STATUS_BEHIND, snapshot.ref, observed=observed, generation=generation)


def _fault(fault: Fault, where: ObjectRef, **values: object) -> Finding:
    message, remedy = fault.texts(**values)
    command = str(values.get("command") or where.command())
    return Finding(fault.reason, message, remedy, where=str(where), command=command)


# Conditions


def _of_conditions(snapshot: Snapshot) -> list[Finding]:
    """Return a finding for each condition that keeps it from being ready, the cause first."""
    failing = [
        entry
        for kind in REQUIRED_FOR_READY
        if (entry := snapshot.conditions.get(kind.value)) is not None
        and (entry["status"] == "True") != POLARITY[kind].normal
    ]
    ready = snapshot.conditions.get(ConditionType.READY.value)
    if not failing and ready is not None and ready["status"] != "True":
        failing = [ready]
    found = [_of_condition(snapshot, entry) for entry in failing]
    shared = _shared_fault(snapshot, found)
    # Dependencies stand before the workload already; what is in progress explains no fault.
    found.sort(key=lambda finding: finding.reason in _IN_PROGRESS)
    return [*shared, *found]


def _of_condition(snapshot: Snapshot, entry: KubernetesObject) -> Finding:
    condition = str(entry["type"])
    reason = str(entry["reason"])
    known = known_cause(condition, reason, str(entry.get("message", "")))
    where = _where(snapshot, known)
    finding = Finding(
        reason,
        known.message,
        known.remedy,
        condition,
        known.code,
        str(where),
        _command(snapshot, where, reason),
    )
    return _with_service(snapshot, finding)


def _where(snapshot: Snapshot, known: KnownCause) -> ObjectRef:
    """Return the object that the message names, else the HealthIngest."""
    place = known.values.get("where") or known.message
    for kind, pattern in _NAMED:
        if named := pattern.search(place):
            return ObjectRef(kind, named[1].rstrip("."), snapshot.namespace)
    return snapshot.ref


def _command(snapshot: Snapshot, where: ObjectRef, reason: str) -> str:
    if where.kind == "Pod" and reason in _WITH_LOG:
        return f"kubectl logs {where.name} --previous --namespace {snapshot.namespace}"
    if reason == Reason.INVALID_SPEC.value:
        return f"{where.command('get')} --output yaml"
    return where.command()


def _with_service(snapshot: Snapshot, finding: Finding) -> Finding:
    """Return the fault of the Service behind an address, if the address names a faulty one."""
    service = snapshot.services.get(finding.condition)
    if service is None or not _is_faulty(service):
        return finding
    fault = faults.SERVICE_WITHOUT_ENDPOINTS if service.exists else faults.SERVICE_MISSING
    ref = service.ref
    message, remedy = fault.texts(
        message=finding.message,
        service=f"{ref.namespace}/{ref.name}",
        holder=_holder(snapshot, finding.condition),
    )
    command = (
        ref.command() if service.exists else f"kubectl get services --namespace {ref.namespace}"
    )
    return Finding(
        fault.reason, message, remedy, finding.condition, finding.code, str(ref), command
    )


def _is_faulty(service: ServiceView) -> bool:
    return not (service.exists and service.ready_endpoints)


def _holder(snapshot: Snapshot, condition: str) -> str:
    """Return where the address of a dependency is written."""
    spec = snapshot.body.get("spec") or {}
    has_user = "userSecretRef" in (spec.get("broker") or {})
    secrets = {
        ConditionType.BROKER_READY.value: (
            "broker",
            "userSecretRef" if has_user else "adminSecretRef",
        ),
        ConditionType.DATABASE_READY.value: ("database", "secretRef"),
        ConditionType.CACHE_READY.value: ("cache", "secretRef"),
    }
    if condition not in secrets:
        return "spec.objectStore.endpoint"
    section, key = secrets[condition]
    name = ((spec.get(section) or {}).get(key) or {}).get("name", "")
    return f"Secret {snapshot.namespace}/{name}"


def _shared_fault(snapshot: Snapshot, found: Sequence[Finding]) -> list[Finding]:
    """Return the fault of the operator's network, if all external systems fail the same way."""
    reasons = {finding.condition: finding.reason for finding in found}
    first = {reasons.get(kind) for kind in _EXTERNAL}
    if len(first) != 1 or any(_is_faulty(service) for service in snapshot.services.values()):
        return []
    fault = _SHARED_FAULTS.get(first.pop() or "")
    if fault is None:
        return []
    deployments = snapshot.operator.deployments or ()
    namespace = deployments[0]["metadata"]["namespace"] if deployments else "healthingest-system"
    message, remedy = fault.texts()
    command = f"kubectl get networkpolicies --namespace {namespace}"
    return [Finding(fault.reason, message, remedy, where=f"Namespace {namespace}", command=command)]


# Consequences


def _consequences(
    snapshot: Snapshot, cause: Finding | None, findings: Iterable[Finding]
) -> list[Finding]:
    """Return the findings that follow from another one."""
    found = list(findings)
    every = [*([cause] if cause else []), *found]
    return [
        finding
        for finding in found
        if (snapshot.body["metadata"].get("deletionTimestamp") and finding.condition)
        or any(_follows(finding, other) for other in every if other is not finding)
    ]


def _follows(finding: Finding, other: Finding) -> bool:
    """Whether *finding* follows from *other*."""
    if other.reason in {fault.reason for fault in _SHARED_FAULTS.values()}:
        return finding.condition in _EXTERNAL or finding.reason in _SYMPTOMS_OF_DEPENDENCIES
    if finding.condition == other.condition or not other.condition:
        return False
    if finding.condition == ConditionType.WORKLOAD_AVAILABLE.value:
        return _workload_follows(finding, other)
    return _dependency_follows(finding, other)


def _dependency_follows(finding: Finding, other: Finding) -> bool:
    is_topology = finding.condition == ConditionType.TOPOLOGY_READY.value
    is_dependency = is_topology or finding.condition in _EXTERNAL
    if other.condition == ConditionType.SECRETS_READY.value and is_dependency:
        return finding.reason == other.reason or finding.reason in _IN_PROGRESS
    return is_topology and other.condition == ConditionType.BROKER_READY.value


def _workload_follows(finding: Finding, other: Finding) -> bool:
    if finding.message.startswith("ConfigMap "):
        return False
    if finding.reason in _SYMPTOMS_OF_DEPENDENCIES:
        return True
    if finding.code == "crashed":
        return other.reason not in _IN_PROGRESS
    from_database = finding.code.startswith("database-")
    return from_database and other.condition == ConditionType.DATABASE_READY.value


# Notes


def _notes(snapshot: Snapshot) -> Iterable[str]:
    yield from snapshot.gaps
    if snapshot.operator.deployments is None:
        yield "whether an operator works is unknown: you may not read its Deployment"
    if snapshot.namespace_terminates:
        yield f"namespace {snapshot.namespace} is being deleted"
    yield from _optional_conditions(snapshot)
    drifted = snapshot.conditions.get(ConditionType.DRIFTED.value) or {}
    if drifted.get("status") == "True":
        yield f"Drifted is True: {drifted['message']}"
    for left in snapshot.status.get("leftBehind") or ():
        yield f"left behind on the broker: {left}"


def _optional_conditions(snapshot: Snapshot) -> Iterable[str]:
    optional = (ConditionType.CACHE_READY, ConditionType.READER_READY, ConditionType.ROUTE_READY)
    for kind in (found.value for found in optional):
        entry = snapshot.conditions.get(kind) or {}
        if entry.get("status") == "False":
            yield (
                f"{kind} is False ({entry['reason']}): {entry['message']}."
                " Ready does not depend on it"
            )
