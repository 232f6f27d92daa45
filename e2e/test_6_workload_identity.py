"""
No static keys: operator and pods assume a role with projected tokens of their ServiceAccounts.

The token service accepts only tokens that the API server verifies, and the keys that it gives are
valid for some seconds.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import install
import kubectl as k8s
import outside
from steady import NO_LIMITS, SteadyUploads
from stopwatch import NOTES

KIND, NAMESPACE, NAME = "healthingest", "e2e-identity", "keyless"
ROLE = "arn:aws:iam::111122223333:role/clinic"
FRONT = f"http://token-front.{NAMESPACE}.svc:8000"
SESSION_SECONDS = 20
READY_SECONDS = 120.0
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="user")
def _user() -> Iterator[outside.Api]:
    """A client of a HealthIngest without keys; operator and pods have a role."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    k8s.kubectl("delete", "secret", "s3", "--namespace", NAMESPACE)
    _front()
    images = install.images()
    role = {"webIdentity.roleArn": ROLE, "webIdentity.stsEndpoint": FRONT}
    install.chart(images["service"], images["operator"], more={**install.SHORT_WAITS, **role})
    try:
        k8s.apply(_manifest(), namespace=NAMESPACE)
        k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
        yield outside.Api(f"{NAME}.example").signed_in()
    finally:
        k8s.remove_namespace(NAMESPACE)
        install.chart(images["service"], images["operator"], more=install.SHORT_WAITS)
        k8s.kubectl("delete", "clusterrolebinding", "e2e-token-front", "--ignore-not-found")


def test_1_no_key_is_stored_anywhere(user: outside.Api) -> None:
    """The pods' Secret has the other values only; pods cannot talk to the Kubernetes API."""
    del user
    secret = k8s.get("secret", f"{NAME}-service", NAMESPACE)
    assert secret is not None
    assert not [name for name in secret["data"] if "ACCESS_KEY" in name]
    for pod in _own_pods():
        assert pod["spec"]["automountServiceAccountToken"] is False


def test_2_keys_expire_during_uploads(user: outside.Api) -> None:
    """Keys are renewed several times: no upload fails, and no pod restarts."""
    with SteadyUploads(user) as uploads:
        uploads.some_more(150, seconds=5 * SESSION_SECONDS)
    assert uploads.failures == [], "\n".join(uploads.failures)
    for pod in _own_pods():
        assert [one["restartCount"] for one in pod["status"]["containerStatuses"]] == [0] * len(
            pod["status"]["containerStatuses"]
        )
    NOTES.append(f"workload identity: {len(uploads.acknowledged)} uploads, 0 failed")


def test_3_a_refused_token_is_named_and_stops_no_upload(user: outside.Api) -> None:
    """New pods with another audience do not start; those of before go on."""
    _audience("another")

    def is_named() -> bool:
        found = k8s.condition(_live(), "WorkloadAvailable")
        return "refuses the token of container" in found.get("message", "")

    k8s.eventually("the refusal is named", is_named, seconds=READY_SECONDS)
    assert k8s.condition(_live(), "WorkloadAvailable")["reason"] == "AuthenticationFailed"
    with SteadyUploads(user) as uploads:
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)
    _audience("sts.amazonaws.com")
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)


def _audience(audience: str) -> None:
    patch = {"spec": {"objectStore": {"webIdentity": {"audience": audience}}}}
    words = ["patch", KIND, NAME, "--namespace", NAMESPACE, "--type=merge"]
    k8s.kubectl(*words, "--patch", json.dumps(patch))


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    spec = manifest["spec"]
    spec["replicas"] = 1
    spec["limits"] = dict(NO_LIMITS)
    store = spec["objectStore"]
    del store["credentialsSecretRef"]
    store |= {"endpoint": FRONT, "region": "us-east-1", "webIdentity": {"roleArn": ROLE}}
    return manifest


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _own_pods() -> list[dict[str, Any]]:
    return k8s.items("pods", NAMESPACE, "app.kubernetes.io/component in (api,relay)")


def _front() -> None:
    """Run the token service with the image of the service, which has Python and its libraries."""
    names = {
        "token_front.py": Path(__file__).parent / "token_front.py",
        "token_service.py": install.ROOT / "tests" / "support" / "servers" / "token_service.py",
    }
    programs = {name: path.read_text(encoding="utf-8") for name, path in names.items()}
    metadata = {"name": "token-front", "namespace": NAMESPACE}
    k8s.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "e2e-token-front"},
        "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": "system:auth-delegator",
        },
        "subjects": [{"kind": "ServiceAccount", **metadata}],
    }
    k8s.apply(binding)
    k8s.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": programs})
    k8s.secret("token-front", NAMESPACE, {"s3": install.passwords()["s3"]})
    labels = {"app": "token-front"}
    service = {"selector": labels, "ports": [{"port": 8000}]}
    k8s.apply({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service})
    spec = {
        "replicas": 1,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": _pod()},
    }
    k8s.apply({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec})
    words = ["rollout", "status", "deployment/token-front", "--namespace", NAMESPACE]
    k8s.kubectl(*words, "--timeout=120s", seconds=130)


def _pod() -> dict[str, Any]:
    accounts = [
        f"system:serviceaccount:{NAMESPACE}:{NAME}",
        f"system:serviceaccount:{install.OPERATOR}:{install.RELEASE}",
    ]
    store = f"http://s3.{install.DEPENDENCIES}.svc:7070"
    words = ["python", "/front/token_front.py", store, json.dumps(accounts), str(SESSION_SECONDS)]
    secret = {"secretKeyRef": {"name": "token-front", "key": "s3"}}
    container = {
        "name": "front",
        "image": install.images()["service"],
        "imagePullPolicy": "IfNotPresent",
        "command": words,
        "env": [{"name": "S3_SECRET", "valueFrom": secret}],
        "ports": [{"containerPort": 8000}],
        "readinessProbe": {"tcpSocket": {"port": 8000}, "periodSeconds": 2},
        "resources": {"requests": {"cpu": "50m", "memory": "64Mi"}, "limits": {"memory": "256Mi"}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": "front", "mountPath": "/front"}],
    }
    items = [
        {"key": "token_front.py", "path": "token_front.py"},
        {"key": "token_service.py", "path": "support/servers/token_service.py"},
    ]
    return {
        "serviceAccountName": "token-front",
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
        "volumes": [{"name": "front", "configMap": {"name": "token-front", "items": items}}],
    }
