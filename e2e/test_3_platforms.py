"""Namespaces with the rules of platforms: a HealthIngest that fits them becomes ready."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

import install
import kubectl as k8s
from stopwatch import Stopwatch

NAMESPACE: Final = "e2e-platform"
NAME: Final = "platform"
POLICY: Final = "e2e-like-restricted-v2"
READY_SECONDS: Final = 240.0
FIRST_ID: Final = 1000650000
LAST_ID: Final = 1000659999
IDS: Final = {"runAsUser": FIRST_ID + 7, "runAsGroup": 0, "fsGroup": FIRST_ID + 7}
"""Ids as OpenShift assigns them: any user and volume group of the namespace's range, group 0."""
SMALL: Final[dict[str, Any]] = {
    "resources": {
        "requests": {"cpu": "50m", "memory": "192Mi"},
        "limits": {"cpu": "1", "memory": "256Mi"},
    },
    "settings": {"HEALTHINGEST_GATE__WORKERS": "1"},
}
pytestmark = pytest.mark.story


@pytest.fixture(autouse=True)
def _namespace() -> Iterator[None]:
    """Create a namespace that enforces `restricted` and has only the Secrets."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    enforce = "pod-security.kubernetes.io/enforce=restricted"
    k8s.kubectl("label", "namespace", NAMESPACE, enforce, "--overwrite")
    yield
    k8s.remove_namespace(NAMESPACE, wait=False)
    for kind in ("validatingadmissionpolicybinding", "validatingadmissionpolicy"):
        k8s.kubectl("delete", kind, POLICY, "--ignore-not-found")


def _object(api_version: str, kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": name},
        "spec": spec,
    }


def _like_restricted_v2() -> None:
    """Refuse pods whose user or volume group is not in the range of the namespace."""
    place = "object.spec.securityContext"
    rules = [
        {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    ]
    validations = [
        {
            "expression": f"has({place}.{name}) && {place}.{name} >= {FIRST_ID}"
            f" && {place}.{name} <= {LAST_ID}",
            "message": f"{name} must be in the range of the namespace",
        }
        for name in ("runAsUser", "fsGroup")
    ]
    admission = "admissionregistration.k8s.io/v1"
    policy = {"matchConstraints": {"resourceRules": rules}, "validations": validations}
    k8s.apply(_object(admission, "ValidatingAdmissionPolicy", POLICY, policy))
    selector = {"matchLabels": {"kubernetes.io/metadata.name": NAMESPACE}}
    binding = {
        "policyName": POLICY,
        "validationActions": ["Deny"],
        "matchResources": {"namespaceSelector": selector},
    }
    k8s.apply(_object(admission, "ValidatingAdmissionPolicyBinding", POLICY, binding))


def _quota() -> None:
    hard = {"requests.cpu": "2", "limits.cpu": "12", "requests.memory": "4Gi"}
    quota = {"hard": {**hard, "limits.memory": "6Gi"}}
    k8s.apply(_object("v1", "ResourceQuota", "compute", quota), namespace=NAMESPACE)


def _limit_range() -> None:
    limits = {"limits": [{"type": "Container", "max": {"memory": "256Mi"}}]}
    k8s.apply(_object("v1", "LimitRange", "small", limits), namespace=NAMESPACE)


def _default_deny() -> None:
    deny: dict[str, Any] = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    policy = _object("networking.k8s.io/v1", "NetworkPolicy", "default-deny", deny)
    k8s.apply(policy, namespace=NAMESPACE)


RULES: Final[dict[str, tuple[Callable[[], None], dict[str, Any]]]] = {
    "restricted-v2": (_like_restricted_v2, {"podSecurityContext": IDS}),
    "quota": (_quota, {}),
    "LimitRange of 256Mi": (_limit_range, SMALL),
    "default-deny": (_default_deny, {}),
}


@pytest.mark.parametrize("name", RULES)
def test_a_health_ingest_becomes_ready(stopwatch: Stopwatch, name: str) -> None:
    """The pods are admitted, reach their dependencies, and the migration's Job ends."""
    make, spec = RULES[name]
    make()
    manifest = install.minimal(NAME)
    manifest["spec"] |= {"replicas": 1, **spec}
    began = time.monotonic()
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually(
        "Ready=True",
        lambda: k8s.is_ready(k8s.get("healthingest", NAME, NAMESPACE)),
        seconds=READY_SECONDS,
    )
    stopwatch.record(f"{name}: ready", time.monotonic() - began, bound_seconds=READY_SECONDS)
    pods = k8s.items("pods", NAMESPACE, "app.kubernetes.io/component=api")
    contexts = [pod["spec"]["securityContext"] for pod in pods]
    assert contexts
    if name == "restricted-v2":
        assert {context["runAsUser"] for context in contexts} == {IDS["runAsUser"]}
