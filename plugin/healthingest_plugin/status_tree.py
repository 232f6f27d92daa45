"""The parts of a HealthIngest as a tree: each part stands below what needs it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from healthingest_contract.conditions import ConditionType
from healthingest_operator.api.healthingest import Key
from healthingest_operator.resources import names
from healthingest_operator.status.conditions import POLARITY
from healthingest_operator.status.pod_failures import of_pod
from healthingest_plugin.model import KubernetesObject, Snapshot
from healthingest_plugin.operator_state import is_ready, operator_fault, pods_of

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_SECRETS: Final = (
    (ConditionType.BUCKET_READY, ("objectStore", "credentialsSecretRef")),
    (ConditionType.BUCKET_READY, ("objectStore", "adminSecretRef")),
    (ConditionType.BROKER_READY, ("broker", "adminSecretRef")),
    (ConditionType.BROKER_READY, ("broker", "userSecretRef")),
    (ConditionType.DATABASE_READY, ("database", "secretRef")),
    (ConditionType.CACHE_READY, ("cache", "secretRef")),
)


@dataclass(frozen=True, slots=True)
class Node:
    """A part with its state, its age in seconds (None: it has no age) and what it needs."""

    title: str
    state: str
    age_seconds: int | None = None
    children: tuple["Node", ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return it as an object for JSON."""
        return {
            "title": self.title,
            "state": self.state,
            "ageSeconds": self.age_seconds,
            "children": [child.as_json() for child in self.children],
        }


def tree(snapshot: Snapshot) -> Node:
    """Return the tree of a snapshot."""
    conditions = snapshot.conditions
    below = [_operator(snapshot)]
    for kind in (ConditionType.SECRETS_READY, ConditionType.BUCKET_READY):
        below += _dependency(snapshot, kind)
    topology = _dependency(snapshot, ConditionType.TOPOLOGY_READY)
    below += _dependency(snapshot, ConditionType.BROKER_READY, topology)
    below += _dependency(snapshot, ConditionType.DATABASE_READY, _jobs(snapshot))
    below += _dependency(snapshot, ConditionType.CACHE_READY)
    below.append(_workload(snapshot))
    below += _dependency(snapshot, ConditionType.ROUTE_READY, _routes(snapshot))
    below += [
        _of_condition(snapshot, conditions[kind.value])
        for kind in (ConditionType.PAUSED, ConditionType.DRIFTED)
        if kind.value in conditions
    ]
    return Node(
        str(snapshot.ref),
        _summary(snapshot.body),
        _age(snapshot.body["metadata"].get("creationTimestamp"), snapshot.now),
        tuple(below),
    )


def lines(node: Node, indent: str = "", *, first: bool = True, last: bool = True) -> Iterator[str]:
    """Yield the tree as lines of text."""
    branch = "" if first else ("└─ " if last else "├─ ")
    age = "" if node.age_seconds is None else f"  {duration(node.age_seconds)}"
    yield f"{indent}{branch}{node.title}: {node.state}{age}"
    inner = indent if first else indent + ("   " if last else "│  ")
    for child in node.children:
        yield from lines(child, inner, first=False, last=child is node.children[-1])


def table(bodies: Sequence[KubernetesObject], now: datetime) -> Iterator[str]:
    """Yield a line for each HealthIngest."""
    rows = [("NAMESPACE", "NAME", "STATE", "AGE")]
    for body in bodies:
        metadata = body["metadata"]
        age = _age(metadata.get("creationTimestamp"), now)
        rows.append((metadata["namespace"], metadata["name"], _summary(body), duration(age or 0)))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*padded, row[3]])


def duration(seconds: int) -> str:
    """Return an age in its largest unit, as kubectl shows it."""
    for unit, size in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def is_ready_now(body: KubernetesObject) -> bool:
    """Whether a HealthIngest is Ready in its present generation."""
    status = body.get("status") or {}
    current = status.get("observedGeneration") == body["metadata"].get("generation")
    return current and any(
        (entry["type"], entry["status"]) == ("Ready", "True")
        for entry in status.get("conditions") or ()
    )


def _summary(body: KubernetesObject) -> str:
    if body["metadata"].get("deletionTimestamp"):
        return "being deleted"
    status = body.get("status") or {}
    entries = {entry["type"]: entry for entry in status.get("conditions") or ()}
    ready = entries.get(ConditionType.READY.value)
    if ready is None:
        return "not seen by an operator yet"
    if status.get("observedGeneration") != body["metadata"].get("generation"):
        return "the status is for an earlier generation"
    paused = ", paused" if (body.get("spec") or {}).get("paused") else ""
    return f"{'Ready' if ready['status'] == 'True' else 'not Ready'} ({ready['reason']}){paused}"


def _operator(snapshot: Snapshot) -> Node:
    view = snapshot.operator
    if view.deployments is None:
        return Node("Operator", "unknown: you may not read its Deployment")
    fault = operator_fault(snapshot)
    return Node("Operator", "works" if fault is None else f"{fault.fault.reason}: {fault.message}")


def _dependency(snapshot: Snapshot, kind: ConditionType, below: Sequence[Node] = ()) -> list[Node]:
    entry = snapshot.conditions.get(kind.value)
    if entry is None:
        return []
    children = [*_secrets(snapshot, kind), *below]
    return [_of_condition(snapshot, entry, children)]


def _secrets(snapshot: Snapshot, kind: ConditionType) -> list[Node]:
    """Return the Secrets that a dependency needs: their names, and nothing of what is in them."""
    if kind is ConditionType.SECRETS_READY:
        made = snapshot.status.get("secrets") or {}
        return [Node(f"Secret {name}", "made by the operator") for name in made.values()]
    spec = snapshot.body.get("spec") or {}
    found = [_name_at(spec, place) for other, place in _SECRETS if other is kind]
    return [Node(f"Secret {name}", "named by the spec") for name in found if name]


def _name_at(spec: KubernetesObject, place: tuple[str, str]) -> str | None:
    """Return the name of the Secret that a section of the spec names under a key."""
    section, key = place
    name: str | None = ((spec.get(section) or {}).get(key) or {}).get("name")
    return name


def _of_condition(
    snapshot: Snapshot, entry: KubernetesObject, children: Sequence[Node] = ()
) -> Node:
    normal = POLARITY[ConditionType(entry["type"])].normal
    text = str(entry["reason"])
    if (entry["status"] == "True") != normal:
        text = f"{text}: {entry.get('message', '')}"
    age = _age(entry.get("lastTransitionTime"), snapshot.now)
    return Node(entry["type"], f"{entry['status']}, {text}", age, tuple(children))


def _workload(snapshot: Snapshot) -> Node:
    key = Key(snapshot.namespace, snapshot.name)
    by_kind: dict[str, list[KubernetesObject]] = {}
    for child in snapshot.children:
        by_kind.setdefault(str(child["kind"]), []).append(child)
    parts = [_deployment(snapshot, found) for found in by_kind.get("Deployment", [])]
    ingresses = [_plain(snapshot, found) for found in by_kind.get("Ingress", [])]
    parts += [_plain(snapshot, found, ingresses) for found in by_kind.get("Service", [])]
    for kind in (
        "HorizontalPodAutoscaler",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "ConfigMap",
        "ServiceAccount",
    ):
        parts += [_plain(snapshot, found) for found in by_kind.get(kind, [])]
    entry = snapshot.conditions.get(ConditionType.WORKLOAD_AVAILABLE.value)
    if entry is not None:
        return _of_condition(snapshot, entry, parts)
    missing = f"no condition yet; Deployments {key.name}-{names.API} and {key.name}-{names.RELAY}"
    return Node(ConditionType.WORKLOAD_AVAILABLE.value, missing, None, tuple(parts))


def _deployment(snapshot: Snapshot, found: KubernetesObject) -> Node:
    status = found.get("status") or {}
    wanted = found["spec"].get("replicas", 1)
    state = f"{status.get('availableReplicas', 0)} of {wanted} pods available"
    pods = [_pod(snapshot, pod) for pod in pods_of(found, snapshot.pods)]
    return _node(snapshot, found, state, pods)


def _routes(snapshot: Snapshot) -> list[Node]:
    found = [child for child in snapshot.children if child["kind"] == "HTTPRoute"]
    return [_plain(snapshot, route) for route in found]


def _jobs(snapshot: Snapshot) -> list[Node]:
    found = [child for child in snapshot.children if child["kind"] == "Job"]
    return [_job(snapshot, job) for job in found]


def _job(snapshot: Snapshot, job: KubernetesObject) -> Node:
    conditions = (job.get("status") or {}).get("conditions") or ()
    true = [entry["type"] for entry in conditions if entry["status"] == "True"]
    ended = [kind for kind in true if kind in {"Complete", "Failed"}]
    uid = job["metadata"].get("uid")
    pods = [_pod(snapshot, pod) for pod in snapshot.pods if uid in _owner_ids(pod)]
    return _node(snapshot, job, ended[0] if ended else "running", pods)


def _owner_ids(pod: KubernetesObject) -> set[object]:
    owners = pod["metadata"].get("ownerReferences") or ()
    return {owner.get("uid") for owner in owners}


def _pod(snapshot: Snapshot, pod: KubernetesObject) -> Node:
    failure = of_pod(pod)
    phase = (pod.get("status") or {}).get("phase", "Unknown")
    if failure is not None:
        state = f"{failure.reason.value}: {failure.message}"
    elif pod["metadata"].get("deletionTimestamp"):
        state = "Terminating"
    else:
        state = "ready" if is_ready(pod) else f"{phase}, not ready"
    return _node(snapshot, pod, state)


def _plain(snapshot: Snapshot, found: KubernetesObject, children: Sequence[Node] = ()) -> Node:
    return _node(snapshot, found, _state_of(found), children)


def _state_of(found: KubernetesObject) -> str:
    spec = found.get("spec") or {}
    status = found.get("status") or {}
    if found["kind"] == "HTTPRoute":
        return ", ".join(spec.get("hostnames") or ["*"])
    if found["kind"] == "Ingress":
        return ", ".join(str(rule.get("host", "*")) for rule in spec.get("rules") or ())
    if found["kind"] == "HorizontalPodAutoscaler":
        bounds = f"{spec.get('minReplicas', 1)} to {spec.get('maxReplicas')}"
        return f"{status.get('currentReplicas', 0)} pods of {bounds}"
    if found["kind"] == "PodDisruptionBudget":
        return f"{status.get('disruptionsAllowed', 0)} disruptions allowed"
    return "present"


def _node(
    snapshot: Snapshot, found: KubernetesObject, state: str, children: Sequence[Node] = ()
) -> Node:
    metadata = found["metadata"]
    age = _age(metadata.get("creationTimestamp"), snapshot.now)
    return Node(f"{found['kind']} {metadata['name']}", state, age, tuple(children))


def _age(since: str | None, now: datetime) -> int | None:
    if not since:
        return None
    return max(0, int((now - datetime.fromisoformat(since)).total_seconds()))
