"""
Causes for a pod that does not exist or does not run.

They are read from the pod's status, or from a controller's message about a refused pod. Messages of
kubelet, scheduler and API server are only searched for known patterns. Only names and amounts of
quotas and limits are taken from them. Sources: Kubernetes reference, "Pod Lifecycle", "Resource
Quotas", "Limit Ranges", "Validating Admission Policy"; Kubernetes source,
`pkg/kubelet/images/types.go`.
"""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthingest_contract.conditions import Reason
from healthingest_contract.stop_causes import StopCause, stop_cause
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.status import pod_causes as causes
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.identity_causes import IDENTITY_CAUSES
from healthingest_operator.status.outside_causes import OF_STOPS

_IMAGE: Final = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "RegistryUnavailable",
        "ImageInspectError",
        "SignatureValidationFailed",
    }
)
_NOT_STARTED: Final = frozenset(
    {
        "CreateContainerConfigError",
        "CreateContainerError",
        "RunContainerError",
        "StartError",
        "ContainerCannotRun",
    }
)
_IMAGE_WHYS: Final = (
    (
        re.compile(
            r"unauthorized|authentication required|denied|forbidden|\b401\b|\b403\b", re.IGNORECASE
        ),
        "login refused",
    ),
    (re.compile(r"not found|manifest unknown|\b404\b", re.IGNORECASE), "no such image or tag"),
    (re.compile(r"x509|certificate", re.IGNORECASE), "the registry's certificate is not trusted"),
    (
        re.compile(r"no such host|server misbehaving", re.IGNORECASE),
        "the registry's host name is unknown",
    ),
    (
        re.compile(r"timeout|refused|unreachable|reset|deadline", re.IGNORECASE),
        "the registry does not answer",
    ),
    (re.compile(r"toomanyrequests|429", re.IGNORECASE), "the registry's rate limit"),
)
_RELAY: Final = "relay"
_AMOUNTS: Final = r"[\w./:=,-]+"
_EXCEEDED: Final = re.compile(
    rf"exceeded quota: ([\w.-]+), requested: ({_AMOUNTS}),"
    rf" used: ({_AMOUNTS}), limited: ({_AMOUNTS})"
)
_ANY_QUOTA: Final = re.compile(r"(?:exceeded|failed) quota: ([\w.-]+)")
_MUST_SPECIFY: Final = re.compile(
    rf"failed quota: ([\w.-]+): must specify ((?:{_AMOUNTS}(?: for: {_AMOUNTS})?[; ]*)+)"
)
_RANGE: Final = re.compile(
    r"(?:minimum|maximum) [\w./-]+ usage per \w+ is [\w.]+"
    r"(?:, but (?:request|limit) is [\w.]*\w|\. +No \w+ is specified)"
    r"|[\w./-]+ max limit to request ratio per \w+ is [\w.]+, but"
    r" (?:provided ratio is [\w.]*\w|no \w+ is specified)"
)
_NAMED: Final = (
    (causes.POD_SECURITY, re.compile(r'violates PodSecurity "([\w.:-]+)"')),
    (causes.ADMISSION_POLICY, re.compile(r"ValidatingAdmissionPolicy '([\w.-]+)'")),
    (causes.ADMISSION_WEBHOOK, re.compile(r'admission webhook "([\w./-]+)" denied')),
    (causes.WEBHOOK_FAILS, re.compile(r'failed calling webhook "([\w./-]+)"')),
    (causes.SECURITY_CONSTRAINT, re.compile(r"(security context constraint)")),
)
_MISSING: Final = re.compile(
    r'(serviceaccount) "([\w.-]+)" not found|no (PriorityClass) with name ([\w.-]+) was found'
)
_NODES: Final = re.compile(
    r"Insufficient [\w./-]+|Too many pods|untolerated taint"
    r"|didn't match Pod's node affinity/selector"
    r"|didn't match pod (?:anti-)?affinity rules|didn't match pod topology spread constraints"
    r"|were unschedulable"
    r"|no nodes available to schedule pods|volume node affinity conflict"
)
_EVENT: Final = re.compile(r"^[a-z][a-z0-9_]{0,60}$")
_TYPE: Final = re.compile(r"^[A-Za-z_][\w.]{0,100}$")
_TOKEN: Final = re.compile(r"^[A-Za-z]{1,60}$")


@dataclass(frozen=True, slots=True)
class Failure:
    """A reason and a message for a condition."""

    reason: Reason
    message: str


def of_pods(pods: Iterable[ManifestView]) -> Failure | None:
    """
    Return the failure of the newest pod that has one; None: no pod has one.

    Terminating pods are ignored.
    """
    newest = sorted(
        pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True
    )
    found = (of_pod(pod) for pod in newest if not pod["metadata"].get("deletionTimestamp"))
    return next((failure for failure in found if failure is not None), None)


def of_pod(pod: ManifestView) -> Failure | None:
    """Return the failure of this pod; None: its status shows none."""
    status = pod.get("status") or {}
    where = f"pod {pod['metadata']['name']}"
    return (
        _of_containers(status, where) or _of_scheduling(status, where) or _of_phase(status, where)
    )


def _of_containers(status: ManifestView, where: str) -> Failure | None:
    containers = (
        *(status.get("initContainerStatuses") or ()),
        *(status.get("containerStatuses") or ()),
    )
    found = (_of_container(container, where) for container in containers)
    return next((failure for failure in found if failure is not None), None)


def _of_scheduling(status: ManifestView, where: str) -> Failure | None:
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition.get("reason") == "Unschedulable":
            found = dict.fromkeys(_NODES.findall(str(condition.get("message", ""))))
            return _failure(
                causes.UNSCHEDULABLE, where=where, why=", ".join(found) or "no node fits"
            )
    return None


def _of_phase(status: ManifestView, where: str) -> Failure | None:
    """Return the failure of a pod that a node refused or evicted before it started a container."""
    if status.get("phase") != "Failed" or status.get("containerStatuses"):
        return None
    why = str(status.get("reason", ""))
    return _failure(
        causes.START_FAILED,
        where=where,
        container="any",
        why=why if _TOKEN.match(why) else "failed",
    )


def of_silent_relay(pods: Iterable[ManifestView]) -> Failure | None:
    """
    Return the failure of a relay that runs and is not ready.

    Its readiness shows that it has announced nothing for a while.
    """
    for pod in (pod for pod in pods if not pod["metadata"].get("deletionTimestamp")):
        if any(
            _is_silent_relay(container)
            for container in (pod.get("status") or {}).get("containerStatuses") or ()
        ):
            return _failure(causes.ANNOUNCEMENTS_STALLED, where=f"pod {pod['metadata']['name']}")
    return None


def _is_silent_relay(container: ManifestView) -> bool:
    runs = "running" in (container.get("state") or {}) and container.get("started", False)
    return container.get("name") == _RELAY and runs and not container.get("ready", True)


def of_refusal(words: str, where: str) -> Failure:
    """Return the failure to create a pod of *where*, from the controller's recorded message."""
    found = _of_limits(words, where)
    if found is not None:
        return found
    for cause, pattern in _NAMED:
        if named := pattern.search(words):
            return _failure(cause, where=where, policy=named[1])
    if missing := _MISSING.search(words):
        kind, name = [part for part in missing.groups() if part]
        return _failure(causes.OBJECT_MISSING, where=where, what=f"{kind} {name}")
    return _failure(causes.CREATION_REFUSED, where=where)


def _of_limits(words: str, where: str) -> Failure | None:
    if exceeded := _EXCEEDED.search(words):
        quota, requested, used, limited = (part.rstrip(",") for part in exceeded.groups())
        figures = f" (requested {requested}, used {used}, limited {limited})"
        return _failure(causes.QUOTA_EXCEEDED, where=where, quota=quota, figures=figures)
    if must := _MUST_SPECIFY.search(words):
        figures = must[2].replace(";", ",").strip(" ,")
        return _failure(causes.QUOTA_NEEDS_VALUES, where=where, quota=must[1], figures=figures)
    if quota_named := _ANY_QUOTA.search(words):
        return _failure(causes.QUOTA_EXCEEDED, where=where, quota=quota_named[1], figures="")
    if ranges := _RANGE.findall(words):
        return _failure(causes.LIMIT_RANGE, where=where, figures=", ".join(ranges))
    return None


def of_events(events: Iterable[ManifestView], where: str) -> Failure | None:
    """Return the failure to create a pod, from the events about its controller; None: no event."""
    refused = [event for event in events if event.get("reason") == "FailedCreate"]
    refused.sort(key=_time)
    return of_refusal(str(refused[-1].get("message", "")), where) if refused else None


def _time(event: ManifestView) -> str:
    series = event.get("series") or {}
    return str(
        series.get("lastObservedTime") or event.get("lastTimestamp") or event.get("eventTime") or ""
    )


def _of_container(container: ManifestView, where: str) -> Failure | None:
    name = container.get("name", "")
    waiting = (container.get("state") or {}).get("waiting") or {}
    why = str(waiting.get("reason", ""))
    if why in _IMAGE:
        known = next(
            (
                text
                for pattern, text in _IMAGE_WHYS
                if pattern.search(str(waiting.get("message", "")))
            ),
            why,
        )
        return _failure(causes.IMAGE_PULL, where=where, image=container.get("image", ""), why=known)
    if why in _NOT_STARTED:
        return _failure(causes.START_FAILED, where=where, container=name, why=why)
    ended = _end_of(container, why)
    return None if ended is None else _of_end(ended, name, where)


def _end_of(container: ManifestView, waits_for: str) -> ManifestView | None:
    """
    Return how the container ended, also before its restart; None: it has not ended.

    One that runs again has not recovered before its startup probe succeeds: otherwise each attempt
    would change the conditions twice.
    """
    state = container.get("state") or {}
    last: ManifestView | None = (container.get("lastState") or {}).get("terminated")
    if waits_for == "CrashLoopBackOff":
        return last or {}
    if "running" in state and container.get("started") is False:
        return last
    ended: ManifestView | None = state.get("terminated")
    return ended


def _of_end(ended: ManifestView, container: str, where: str) -> Failure | None:
    code = ended.get("exitCode", "unknown")
    if code == 0:
        return None
    if ended.get("reason") == "OOMKilled":
        return _failure(causes.OUT_OF_MEMORY, where=where, container=container)
    left = stop_cause(str(ended.get("message") or ""))
    if left is not None:
        return _of_stop(left, container, where)
    last = _last_event(str(ended.get("message") or ""))
    return _failure(causes.CRASHED, where=where, container=container, code=code, why=last)


def _of_stop(left: StopCause, container: str, where: str) -> Failure:
    """Return the failure for the stop code that the service has written."""
    cause = OF_STOPS[left]
    if cause is causes.SETTINGS_REFUSED or cause in IDENTITY_CAUSES:
        return _failure(cause, where=where, container=container)
    seen = f"the database (seen by {where})"
    return _failure(
        cause,
        where=seen,
        user="of the service",
        database="of the service",
        why="it refused a write",
    )


def _last_event(log: str) -> str:
    """
    Return the event and error type of the last line of the service's log that has an event.

    It never returns another text.
    """
    for line in reversed(log.splitlines()):
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and _EVENT.match(str(entry.get("event", ""))):
            types = entry.get("error_types") or [""]
            error = str(types[0]) if isinstance(types, list) else ""
            return f", last log line {entry['event']}{f' of {error}' if _TYPE.match(error) else ''}"
    return ""


def _failure(cause: Cause, **values: object) -> Failure:
    return Failure(cause.reason, cause.text(**values))
