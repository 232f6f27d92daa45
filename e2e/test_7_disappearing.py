"""
Two things disappear in any order, and within a minute the outcome of the policy is reached.

A deleted HealthIngest is gone, and what could not be deleted with it is named. Any other reports in
its conditions what is missing, keeps its pods, and is ready again after the repair. `SEED` chooses
a scene and four of its pairs; `LONG=1` runs all thirty pairs. Those of one scene run at once, each
in its own namespace. A HealthIngest that is deleted starts no pods, see `podless`, because its
external resources do not depend on them.
"""

import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

import install
import kubectl as k8s
import operators
import outside
import podless
from sampling import LONG, sample
from stopwatch import Stopwatch

NAME: Final = "gone"
OUTCOME_SECONDS: Final = 60.0
READY_SECONDS: Final = 240.0
BROKER_SECRET: Final = "rabbitmq"  # noqa: S105 - a name
THINGS: Final = ("resource", "namespace", "Secret", "broker", "S3", "operator")
SAMPLE: Final = 4
SHARED: Final = ("broker", "S3", "operator")
"""Used by all HealthIngests of the cluster."""
DEPLOYMENTS: Final = {"broker": "rabbitmq", "S3": "s3"}


@dataclass
class Case:
    """
    One ordered pair in its namespace.

    `pods` are the API's, by uid; `gone_at` is when the second thing had disappeared.
    """

    first: str
    second: str
    pods: set[str] = field(default_factory=set)
    gone_at: float = 0.0
    seconds: float | None = None

    def __str__(self) -> str:
        return f"{self.first}, then {self.second}"

    @property
    def namespace(self) -> str:
        return f"e2e-gone-{self.first}-{self.second}".lower()

    @property
    def both(self) -> set[str]:
        return {self.first, self.second}

    @property
    def bucket(self) -> str:
        return f"{self.namespace}-{NAME}"

    @property
    def virtual_host(self) -> str:
        return f"{self.namespace}.{NAME}"

    @property
    def is_deleted(self) -> bool:
        return bool(self.both & {"resource", "namespace"})

    def live(self) -> dict[str, Any] | None:
        return k8s.get("healthingest", NAME, self.namespace)

    def is_ready(self) -> bool:
        live = self.live()
        return podless.is_made(live) if self.is_deleted else k8s.is_ready(live)

    def api_pods(self) -> set[str]:
        found = k8s.items("pods", self.namespace, "app.kubernetes.io/component=api")
        return {
            pod["metadata"]["uid"] for pod in found if not pod["metadata"].get("deletionTimestamp")
        }


def _scenes() -> dict[str, list[Case]]:
    """Return the pairs by the shared things in them, which can disappear for all cases at once."""
    found: dict[str, list[Case]] = {}
    for first, second in itertools.permutations(THINGS, 2):
        shared = [thing for thing in (first, second) if thing in SHARED]
        found.setdefault(", then ".join(shared) or "nothing shared", []).append(Case(first, second))
    return found


SCENES: Final = _scenes()
PLAYED: Final = sample(
    SCENES if LONG else [name for name, cases in SCENES.items() if len(cases) >= SAMPLE], 1
)


def _manifest(case: Case) -> dict[str, Any]:
    manifest = install.minimal(NAME)
    spec = manifest["spec"]
    spec["replicas"] = 1
    spec["objectStore"]["bucket"] = case.bucket
    spec["broker"]["virtualHost"] = case.virtual_host
    spec["ingress"]["host"] = f"{case.namespace}.example"
    return manifest


def _cast(cases: Iterable[Case]) -> None:
    """Create a HealthIngest for each case, and wait until all are ready."""
    for case in cases:
        if case.is_deleted:
            podless.namespace(case.namespace)
            podless.make(case.namespace, [NAME])
        else:
            k8s.remove_namespace(case.namespace)
            install.user_secrets(case.namespace)
            k8s.apply(_manifest(case), namespace=case.namespace)
    for case in cases:
        k8s.eventually(f"{case}: ready before", case.is_ready, seconds=READY_SECONDS)
        case.pods = case.api_pods()
        assert bool(case.pods) != case.is_deleted


def _scale(thing: str, count: int) -> None:
    words = [f"deployment/{DEPLOYMENTS[thing]}", "--namespace", install.DEPENDENCIES]
    k8s.kubectl("scale", *words, f"--replicas={count}")


def _no_pod(thing: str) -> bool:
    return not k8s.items("pods", install.DEPENDENCIES, f"app={DEPLOYMENTS[thing]}")


def _disappear(thing: str, case: Case) -> None:
    """Make one thing disappear; a shared thing disappears for all cases."""
    match thing:
        case "resource":
            k8s.kubectl(
                "delete", "healthingest", NAME, "--namespace", case.namespace, "--wait=false"
            )
        case "namespace":
            k8s.kubectl("delete", "namespace", case.namespace, "--wait=false")
        case "Secret":
            words = ["delete", "secret", BROKER_SECRET, "--namespace", case.namespace]
            k8s.kubectl(*words, "--ignore-not-found")  # its namespace may have gone before it
        case "operator":
            for pod in operators.pods():
                operators.remove(pod["metadata"]["name"])
        case _:
            _scale(thing, 0)
            k8s.eventually(f"no {thing}", partial(_no_pod, thing), seconds=30)


def _play(cases: Iterable[Case]) -> None:
    """Remove the cases' own first things, then shared things, then own second things."""
    for case in cases:
        if case.first not in SHARED:
            _disappear(case.first, case)
            if case.second not in SHARED:
                _disappear(case.second, case)
    shared = dict.fromkeys(
        thing for case in cases for thing in (case.first, case.second) if thing in SHARED
    )
    for thing in shared:
        _disappear(thing, next(iter(cases)))
    for case in cases:
        if case.first in SHARED and case.second not in SHARED:
            _disappear(case.second, case)
        case.gone_at = time.monotonic()


def _has_ended(case: Case) -> bool:
    """Whether the outcome of the policy is reached: gone, or reporting what is missing."""
    if "namespace" in case.both:
        return k8s.get("namespace", case.namespace, "default") is None
    live = case.live()
    if "resource" in case.both:
        return live is None
    expected = {
        "Secret": [("SecretsReady", {"SecretNotFound"}), ("BrokerReady", {"SecretNotFound"})],
        "broker": [("BrokerReady", {"Unreachable", "NameNotFound", "SecretNotFound"})],
        "S3": [("BucketReady", {"Unreachable", "NameNotFound"})],
        "operator": [],
    }
    wanted = [entry for thing in case.both for entry in expected[thing]]
    found = [(k8s.condition(live, kind), reasons) for kind, reasons in wanted]
    led = bool(operators.leader()) and operators.are_ready()
    return led and all(
        one.get("status") == "False" and one.get("reason") in reasons for one, reasons in found
    )


def _follow(cases: Iterable[Case]) -> None:
    """Record when each case has ended."""

    def look() -> bool:
        for case in cases:
            if case.seconds is None and _has_ended(case):
                case.seconds = time.monotonic() - case.gone_at
        return all(case.seconds is not None for case in cases)

    k8s.eventually("all have ended", look, seconds=OUTCOME_SECONDS + 60)


def _bring_back(cases: Iterable[Case]) -> None:
    """Restore shared things, and the Secrets of HealthIngests that remain."""
    for thing in DEPLOYMENTS:
        _scale(thing, 1)
    install.dependencies()
    k8s.eventually("two operators", operators.are_ready, seconds=90)
    for case in cases:
        if not case.is_deleted:
            install.user_secrets(case.namespace)


def _named(journal: operators.Journal, case: Case) -> str:
    """Return what the operators have logged as left behind by this deletion."""
    lines = [line.fields for line in journal.lines("left_behind")]
    return "; ".join(
        text
        for line in lines
        if line["namespace"] == case.namespace
        for text in line["left_behind"]
    )


def _check_deleted(case: Case, journal: operators.Journal) -> None:
    """
    Each remaining resource is data that the policy keeps, or was named in the log.

    A resource that was unreachable from the start was named.
    """
    named = _named(journal, case)
    users = {
        entry["name"]
        for entry in outside.broker("/api/users")
        if entry["name"].startswith(case.virtual_host)
    }
    assert not users or "broker: " in named, (str(case), users, named)
    tags = outside.tags(case.bucket)
    assert "healthingest.dev/owner" not in tags or "object store: " in named, (
        str(case),
        tags,
        named,
    )
    if case.first in {"broker", "Secret"}:
        assert "broker: " in named, (str(case), named)
    if case.first == "S3":
        assert "object store: " in named, (str(case), named)
    if "broker" not in case.both:
        assert case.virtual_host in {entry["name"] for entry in outside.broker("/api/vhosts")}, (
            "Retain"
        )
    if "S3" not in case.both:
        assert case.bucket in outside.buckets(), "Retain"


def _check_kept(case: Case) -> None:
    """Repair is enough, and no pod was replaced meanwhile."""
    k8s.eventually(f"{case}: ready again", case.is_ready, seconds=READY_SECONDS)
    assert case.api_pods() == case.pods, str(case)


@pytest.fixture(name="stage")
def _stage() -> Iterator[list[Case]]:
    """
    Run the cases of a scene.

    In any case, shared things are restored and the namespaces deleted.
    """
    cases: list[Case] = []
    yield cases
    for thing in DEPLOYMENTS:
        _scale(thing, 1)
    install.dependencies()
    for case in cases:
        k8s.remove_namespace(case.namespace)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("scene", PLAYED)
def test_it_ends_within_a_minute(scene: str, stage: list[Case], stopwatch: Stopwatch) -> None:
    """
    Every deletion ends, and every other HealthIngest reports what is missing.

    No finalizer is edited.
    """
    by_name: Mapping[str, Case] = {str(case): case for case in SCENES[scene]}
    stage += [by_name[name] for name in sample(by_name, SAMPLE)]
    with operators.journal() as journal:
        _cast(stage)
        _play(stage)
        _follow(stage)
        _bring_back(stage)
        for case in stage:
            if case.is_deleted:
                _check_deleted(case, journal)
            else:
                _check_kept(case)
    for case in stage:
        stopwatch.record(f"disappeared: {case}", case.seconds or 0.0, bound_seconds=OUTCOME_SECONDS)
