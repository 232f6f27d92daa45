"""A pod cannot start: the condition names the cause, and repair is enough."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import install
import kubectl as k8s
from stopwatch import Stopwatch

NAMESPACE = "e2e-pods"
NAME = "pods"
REACTION_SECONDS = 30.0
"""Ten seconds after the cluster knows. Registry, scheduler and quota controller need more time."""
HEAL_SECONDS = 240.0
"""A Job retries with growing pauses, after a failure in another minute."""
SECRET = "not-for-conditions"  # noqa: S105 - what a policy might say
pytestmark = pytest.mark.story


@pytest.fixture(autouse=True)
def _namespace() -> Iterator[None]:
    """Create a namespace that has only the Secrets."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    yield
    k8s.remove_namespace(NAMESPACE, wait=False)


def _manifest(**spec: object) -> dict[str, Any]:
    manifest = install.minimal(NAME)
    manifest["spec"] |= {"replicas": 1, **spec}
    return manifest


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, NAMESPACE)


def _says(kind: str, reason: str, words: str) -> dict[str, Any] | None:
    found = k8s.condition(_live(), kind)
    named = (
        found.get("status") == "False"
        and found.get("reason") == reason
        and words in found.get("message", "")
    )
    return found if named else None


def _quota(hard: Mapping[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "small"},
        "spec": {"hard": dict(hard)},
    }


def _use_up() -> Callable[[], None]:
    k8s.apply(_quota({"pods": "0"}), namespace=NAMESPACE)
    return lambda: _remove("resourcequota", "small")


def _demand_limits() -> Callable[[], None]:
    k8s.apply(_quota({"limits.cpu": "10"}), namespace=NAMESPACE)
    return lambda: _remove("resourcequota", "small")


def _limit_memory() -> Callable[[], None]:
    limits = [{"type": "Container", "max": {"memory": "100Mi"}}]
    head = {"apiVersion": "v1", "kind": "LimitRange", "metadata": {"name": "small"}}
    k8s.apply({**head, "spec": {"limits": limits}}, namespace=NAMESPACE)
    return lambda: _remove("limitrange", "small")


def _refuse_by_policy() -> Callable[[], None]:
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ]
    kind = "ValidatingAdmissionPolicy"
    head: dict[str, Any] = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "metadata": {"name": "e2e-no-pods"},
    }
    validations = [{"expression": "false", "message": SECRET}]
    policy = {"matchConstraints": {"resourceRules": rules}, "validations": validations}
    k8s.apply({**head, "kind": kind, "spec": policy})
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    binding = {"policyName": "e2e-no-pods", "validationActions": ["Deny"]}
    binding |= {"matchResources": {"namespaceSelector": selector}}  # type: ignore[dict-item] # JSON
    k8s.apply({**head, "kind": f"{kind}Binding", "spec": binding})

    def mend() -> None:
        for one in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
            k8s.kubectl("delete", one, "e2e-no-pods", "--ignore-not-found")

    return mend


def _pods_are_refused() -> bool:
    """Whether quotas and policies are in effect already, a moment after their creation."""
    security = {
        "allowPrivilegeEscalation": False,
        "runAsNonRoot": True,
        "capabilities": {"drop": ["ALL"]},
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    limits = {"limits": {"memory": "512Mi"}}
    container = {
        "name": "migrate",
        "image": "none",
        "securityContext": security,
        "resources": limits,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "try"},
        "spec": {"containers": [container]},
    }
    words = ("create", "--dry-run=server", "--namespace", NAMESPACE, "--filename", "-")
    try:
        k8s.kubectl(*words, stdin=json.dumps(pod))
    except k8s.CommandError:
        return True
    return False


def _remove(kind: str, name: str) -> None:
    k8s.kubectl("delete", kind, name, "--namespace", NAMESPACE)


@pytest.mark.parametrize(
    ("break_it", "reason", "words"),
    [
        (_use_up, "QuotaExceeded", "ResourceQuota small is exceeded"),
        (_demand_limits, "QuotaExceeded", "ResourceQuota small requires limits.cpu for: migrate"),
        (_limit_memory, "QuotaExceeded", "maximum memory usage per Container is 100Mi"),
        (_refuse_by_policy, "AdmissionRefused", "ValidatingAdmissionPolicy e2e-no-pods refuses it"),
    ],
)
def test_1_a_refused_pod_is_explained(
    stopwatch: Stopwatch, break_it: Callable[[], Callable[[], None]], reason: str, words: str
) -> None:
    """
    The namespace refuses the migration's pod.

    Quota, range or policy are named, without confidential text.
    """
    mend = break_it()
    try:
        k8s.eventually("pods are refused", _pods_are_refused, seconds=REACTION_SECONDS)
        # A request without a limit, which a quota on limits refuses.
        without_limit = {"resources": {"requests": {"cpu": "50m"}}}
        k8s.apply(_manifest(migration=without_limit), namespace=NAMESPACE)
        began = time.monotonic()
        found = k8s.eventually(
            reason, lambda: _says("DatabaseReady", reason, words), seconds=REACTION_SECONDS
        )
        stopwatch.record(
            f"{reason}: told", time.monotonic() - began, bound_seconds=REACTION_SECONDS
        )
        assert SECRET not in found["message"]
        assert k8s.condition(_live(), "Ready").get("reason") == reason
    finally:
        mend()
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=HEAL_SECONDS)


def test_2_an_image_that_is_not_there_is_named(stopwatch: Stopwatch) -> None:
    """
    First the image of the migration; the correct image is enough.

    The pods of a running service are kept.
    """
    k8s.apply(_manifest(image="registry.invalid/none:1"), namespace=NAMESPACE)
    began = time.monotonic()
    k8s.eventually(
        "ImagePullFailed",
        lambda: _says("DatabaseReady", "ImagePullFailed", "registry.invalid/none:1"),
        seconds=60,
    )
    stopwatch.record("ImagePullFailed: told", time.monotonic() - began, bound_seconds=60)
    k8s.apply(_manifest(), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=HEAL_SECONDS)
    jobs = k8s.items("jobs", NAMESPACE)
    assert len(jobs) == 1, "the migration of the wrong image is gone"


def test_3_a_failed_migration_leaves_its_pods(stopwatch: Stopwatch) -> None:
    """
    An image of another program.

    The exit code is reported, the Job and its pods are kept, and the correct image is enough.
    """
    other = f"{install.images()['operator']}"
    k8s.apply(_manifest(image=other, imagePullPolicy="IfNotPresent"), namespace=NAMESPACE)
    began = time.monotonic()
    k8s.eventually(
        "a failure",
        lambda: _says("DatabaseReady", "MigrationFailed", "exit code") or _start_failed(),
        seconds=60,
    )
    stopwatch.record("MigrationFailed: told", time.monotonic() - began, bound_seconds=60)
    assert k8s.items("pods", NAMESPACE, "app.kubernetes.io/component=migrate")
    k8s.apply(_manifest(), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=HEAL_SECONDS)


def _start_failed() -> dict[str, Any] | None:
    """Return the condition once it reports the failed start, or None."""
    return _says("DatabaseReady", "PodStartFailed", "container migrate")
