"""
Changes by others are repaired: children in seconds, broker and bucket within a minute.

Afterwards nothing is written. `SEED` chooses a sample; `LONG=1` takes every mutation.
"""

import base64
import copy
import json
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import pytest
import yaml

import install
import kubectl as k8s
import outside
from healthingest_contract import environment as env
from mutations import MUTATIONS, NAME, UNTOLD, Mutation
from sampling import LONG, sample
from stopwatch import Stopwatch

NAMESPACE: Final = "e2e-healing"
HOST: Final = "healing"
BUCKET: Final = "healing-health-data"
READY_SECONDS: Final = 120.0
CHILD_SECONDS: Final = 5.0
OUTSIDE_SECONDS: Final = 60.0
SILENCE_SECONDS: Final = 60.0 if LONG else 8.0
"""The longer time includes an external check."""
_OF_THE_CLUSTER: Final = {"deployment.kubernetes.io/revision"}
_SECRETS: Final = (f"{NAME}-service", f"{NAME}-consumer")
pytestmark = pytest.mark.story

Key = tuple[str, str]


@dataclass
class World:
    """The wanted children, the duration of each repair, and the field managers of repairs."""

    wanted: dict[Key, dict[str, Any]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    written: dict[Key, str] = field(default_factory=dict)


def _manifests() -> Iterator[dict[str, Any]]:
    """Return the example with an autoscaler, with its own names and few pods."""
    for found in yaml.safe_load_all(
        (install.ROOT / "examples" / "02-autoscaling.yaml").read_text()
    ):
        if found["kind"] == "HealthIngest":
            found["spec"]["autoscaling"] = {"minReplicas": 1, "maxReplicas": 2}
            found["spec"]["objectStore"]["bucket"] = BUCKET
            found["spec"]["broker"]["virtualHost"] = HOST
            found["spec"]["ingress"]["host"] = "healing.example"
        yield found


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, NAMESPACE)


def _is_ready() -> bool:
    return k8s.is_ready(_live())


@pytest.fixture(scope="module", name="world")
def _world() -> Iterator[World]:
    """A Ready HealthIngest, and all its children."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    for manifest in _manifests():
        k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", _is_ready, seconds=READY_SECONDS)
    yield World({key: _plain(child) for key, child in _children().items()})
    k8s.remove_namespace(NAMESPACE)


def _children() -> dict[Key, dict[str, Any]]:
    """Return the children that are mutated, with their managed fields."""
    kinds = ",".join(sorted({mutation.kind for mutation in MUTATIONS.values()}))
    words = ["get", kinds, "--namespace", NAMESPACE, "--output", "json", "--show-managed-fields"]
    found = {
        (child["kind"], child["metadata"]["name"]): child
        for child in json.loads(k8s.kubectl(*words))["items"]
    }
    mutated = {(mutation.kind, mutation.name) for mutation in MUTATIONS.values()}
    return {key: child for key, child in found.items() if key in mutated}


def _plain(child: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return a child without the fields that the server and Kubernetes' own controllers write."""
    if child is None or child["metadata"].get("deletionTimestamp"):
        return {}
    metadata = {
        name: child["metadata"].get(name) or {}
        for name in ("labels", "annotations", "ownerReferences")
    }
    metadata["annotations"] = {
        k: v for k, v in metadata["annotations"].items() if k not in _OF_THE_CLUSTER
    }
    found = {
        name: copy.deepcopy(value)
        for name, value in child.items()
        if name not in {"metadata", "status"}
    }
    spec = found.get("spec", {})
    if child["kind"] == "Service":
        for name in ("clusterIP", "clusterIPs"):  # a new Service gets another address
            spec.pop(name, None)
    if child["kind"] == "Deployment" and child["metadata"]["name"] == f"{NAME}-api":
        spec.pop("replicas", None)  # the autoscaler writes it
    return {"metadata": metadata, **found}


def _written(child: Mapping[str, Any]) -> str:
    """
    Return when the operator last changed it.

    A write without changes does not change these entries.
    """
    metadata = child["metadata"]
    entries = [
        entry
        for entry in metadata["managedFields"]
        if entry["manager"].startswith("healthingest-operator")
    ]
    writes = sorted((entry["manager"], entry.get("time", "")) for entry in entries)
    return f"{metadata['uid']} {writes}"


def _calm() -> dict[str, Any] | None:
    """Return the condition `Drifted`, once everything is ready and the last drift has passed."""
    live = _live()
    drifted = k8s.condition(live, "Drifted")
    return drifted if k8s.is_ready(live) and drifted.get("status") == "False" else None


def _healed(world: World, mutation: Mutation) -> bool:
    found = k8s.get(mutation.kind, mutation.name, NAMESPACE)
    return _plain(found) == world.wanted[mutation.kind, mutation.name]


def _tells(before: Mapping[str, Any], what: str) -> bool:
    """Whether a drift of this child was reported since."""
    now = k8s.condition(_live(), "Drifted")
    return now != before and what in now.get("message", "")


@pytest.mark.parametrize("case", sample(MUTATIONS, 14))
def test_1_a_changed_child_heals(world: World, case: str) -> None:
    """
    Within 5 s it is restored, and `Drifted` names it.

    The operator had not written it since its last repair.
    """
    mutation = MUTATIONS[case]
    key = (mutation.kind, mutation.name)
    told = k8s.eventually("ready and calm", _calm, seconds=READY_SECONDS)
    before = _children()[key]
    assert _plain(before) == world.wanted[key]
    assert world.written.get(key, _written(before)) == _written(before)
    mutation.happen(NAMESPACE)
    began = time.monotonic()
    k8s.eventually(case, partial(_healed, world, mutation), seconds=30)
    world.seconds[case] = time.monotonic() - began
    what = f"{mutation.kind} {mutation.name}"
    try:
        if case not in UNTOLD:
            k8s.eventually(
                f"Drifted names {what}", partial(_tells, told, what), seconds=CHILD_SECONDS
            )
    finally:  # the reconciliation is over; it may have written several times
        world.written[key] = _written(_children()[key])
    assert world.seconds[case] <= CHILD_SECONDS


def test_2_then_nothing_is_written(world: World, stopwatch: Stopwatch) -> None:
    """
    Neither children nor Secrets nor the status are written.

    The report has the durations of the repairs.
    """
    k8s.eventually("ready and calm", _calm, seconds=READY_SECONDS)
    before = _versions()
    assert {key: before[key] for key in world.written} == world.written
    deadline = time.monotonic() + SILENCE_SECONDS
    while time.monotonic() < deadline:  # no condition can be awaited to show that nothing happens
        time.sleep(1)
        assert _versions() == before
    _report(stopwatch, "children", world.seconds, CHILD_SECONDS)


def _versions() -> dict[Key, str]:
    """Return the resource versions of everything that the operator writes in the namespace."""
    found = {key: _written(child) for key, child in _children().items()}
    for kind, name in (("healthingest", NAME), *(("secret", name) for name in _SECRETS)):
        found[kind, name] = (k8s.get(kind, name, NAMESPACE) or {"metadata": {}})["metadata"].get(
            "resourceVersion", ""
        )
    return found


def _report(stopwatch: Stopwatch, what: str, seconds: Mapping[str, float], bound: float) -> None:
    median = statistics.median(seconds.values())
    stopwatch.record(
        f"healing of {what}, {len(seconds)} mutations: median", median, bound_seconds=bound
    )
    slowest = max(seconds, key=seconds.__getitem__)
    stopwatch.record(
        f"healing of {what}: longest ({slowest})", seconds[slowest], bound_seconds=bound
    )


@dataclass(frozen=True)
class Outside:
    """A change outside the cluster, which no watch reports, and the check for its repair."""

    happen: Callable[[], object]
    healed: Callable[[], bool]


def _has(path: str, **values: object) -> bool:
    """Whether the broker has this object with these values."""
    try:
        found = outside.broker(path)
    except httpx.HTTPStatusError:
        return False
    entries = found if isinstance(found, list) else [found]
    return any(all(entry.get(name) == value for name, value in values.items()) for entry in entries)


def _consumer_is_known() -> bool:
    """Whether the broker has the consumer of its Secret."""
    if k8s.get("secret", f"{NAME}-consumer", NAMESPACE) is None:
        return False
    words = outside.secret_values(f"{NAME}-consumer", NAMESPACE)
    return outside.broker_knows(words["username"], words["password"])


_QUEUE: Final = f"/api/queues/{HOST}/glucose"
_BINDINGS: Final = f"/api/bindings/{HOST}/e/health_data_exchange/q/glucose"
_POLICY: Final = f"/api/policies/{HOST}/healthingest-glucose"
_RIGHTS: Final = f"/api/permissions/{HOST}/{HOST}.relay"
_CONSUMER: Final = f"/api/users/{HOST}.consumer"
_PATTERN: Final = "health.processing.bloodglucoserecord"
_OTHER_RIGHTS: Final = {"configure": ".*", "write": ".*", "read": ".*"}
_OTHER_POLICY: Final = {
    "pattern": "^glucose$",
    "apply-to": "queues",
    "priority": 100,
    "definition": {"max-length": 1},
}


def _delete(path: str) -> Callable[[], object]:
    return lambda: outside.broker(path, "DELETE")


def _owned() -> bool:
    return outside.tags(BUCKET).get("healthingest.dev/owner") == f"{NAMESPACE}/{NAME}"


def _change_own_secret() -> None:
    other = {"data": {env.STORE_SECRET_ACCESS_KEY: base64.b64encode(b"other").decode()}}
    words = [
        "patch",
        "secret",
        f"{NAME}-service",
        "--namespace",
        NAMESPACE,
        "--type=merge",
        "--patch",
    ]
    k8s.kubectl(*words, json.dumps(other))


def _own_secret_is_right() -> bool:
    return install.passwords()["s3"] in outside.secret_values(f"{NAME}-service", NAMESPACE).values()


GROUPS: Final[dict[str, dict[str, Outside]]] = {
    "details": {
        "queue deleted": Outside(
            _delete(f"{_QUEUE}.dead"), lambda: _has(f"{_QUEUE}.dead", durable=True)
        ),
        "binding removed": Outside(
            _delete(f"{_BINDINGS}/{_PATTERN}"), lambda: _has(_BINDINGS, routing_key=_PATTERN)
        ),
        "foreign binding added": Outside(
            lambda: outside.broker(_BINDINGS, "POST", {"routing_key": "other.#", "arguments": {}}),
            lambda: [entry["routing_key"] for entry in outside.broker(_BINDINGS)] == [_PATTERN],
        ),
        "policy changed": Outside(
            lambda: outside.broker(_POLICY, "PUT", _OTHER_POLICY),
            lambda: outside.broker(_POLICY)["definition"].get("delivery-limit") == 5,
        ),
        "rights changed": Outside(
            lambda: outside.broker(_RIGHTS, "PUT", _OTHER_RIGHTS),
            lambda: _has(_RIGHTS, configure="^$", read="^$"),
        ),
        "password changed": Outside(
            lambda: outside.broker(_CONSUMER, "PUT", {"password": "other", "tags": ""}),
            _consumer_is_known,
        ),
        "bucket's tags removed": Outside(lambda: outside.remove_tags(BUCKET), _owned),
        "own Secret changed": Outside(_change_own_secret, _own_secret_is_right),
    },
    "whole things": {
        "user deleted": Outside(_delete(_CONSUMER), _consumer_is_known),
        "exchange deleted": Outside(
            _delete(f"/api/exchanges/{HOST}/health_data_exchange"),
            lambda: _has(_BINDINGS, routing_key=_PATTERN),
        ),
        "bucket deleted": Outside(lambda: outside.remove_bucket(BUCKET), _owned),
        "policy deleted": Outside(
            _delete(_POLICY), lambda: _has(_POLICY, **{"apply-to": "queues"})
        ),
        "own Secret deleted": Outside(
            lambda: k8s.kubectl("delete", "secret", f"{NAME}-consumer", "--namespace", NAMESPACE),
            _consumer_is_known,
        ),
    },
    "virtual host": {
        "virtual host deleted": Outside(
            _delete(f"/api/vhosts/{HOST}"),
            lambda: (
                _has(f"/api/permissions/{HOST}/{HOST}.consumer", configure="^$") and _has(_QUEUE)
            ),
        ),
    },
}


@pytest.mark.parametrize("group", sample(GROUPS, 1))
def test_3_broker_and_bucket_heal(world: World, stopwatch: Stopwatch, group: str) -> None:
    """
    The operator checks them within a minute, because no watch reports them.

    The changes of a group happen at once.
    """
    assert world.wanted
    k8s.eventually("Ready=True", _is_ready, seconds=READY_SECONDS)
    cases = GROUPS[group]
    began: dict[str, float] = {}
    assert [what for what, case in cases.items() if not case.healed()] == []
    for what, case in cases.items():
        case.happen()
        began[what] = time.monotonic()
    seconds: dict[str, float] = {}

    def look() -> bool:
        for what, case in cases.items():
            if what not in seconds and case.healed():
                seconds[what] = time.monotonic() - began[what]
        return len(seconds) == len(cases)

    k8s.eventually(f"healed: {', '.join(cases)}", look, seconds=OUTSIDE_SECONDS + 30)
    _report(stopwatch, f"outside ({', '.join(cases)})", seconds, OUTSIDE_SECONDS)
