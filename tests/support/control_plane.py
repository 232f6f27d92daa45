"""The private API server for tests of the operator: kubectl, our definition, the client."""

import json
import subprocess
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from support.deadlines import HANG_SECONDS
from support.servers.apiserver import ApiServer

CRD: Final = Path(__file__).parents[2] / "crds" / "healthingests.healthingest.dev.yaml"
CRD_NAME: Final = "crd/healthingests.healthingest.dev"
_SECONDS: Final = 60


def attempt(
    server: ApiServer, *words: str, given: object = None
) -> subprocess.CompletedProcess[str]:
    """Run kubectl as the administrator, and return its result; *given* is its input as JSON."""
    command = [server.kubectl, "--kubeconfig", str(server.kubeconfig), *words]
    text = None if given is None else json.dumps(given)
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
    )


def kubectl(server: ApiServer, *words: str, given: object = None) -> str:
    """Return the output of kubectl, which must succeed."""
    done = attempt(server, *words, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def remove_namespace(server: ApiServer, name: str) -> None:
    """Delete a namespace as the namespace controller does, which this server does not have."""
    kubectl(server, "delete", "rolebindings,roles,secrets", "--all", "--namespace", name)
    kubectl(server, "delete", "namespace", name, "--wait=false")
    found = json.loads(kubectl(server, "get", "namespace", name, "--output", "json"))
    found["spec"]["finalizers"] = []
    path = f"/api/v1/namespaces/{name}/finalize"
    kubectl(server, "replace", "--raw", path, "-f", "-", given=found)


@pytest.fixture(scope="session", name="with_crd")
def _with_crd(apiserver: ApiServer) -> ApiServer:
    """The API server that knows HealthIngests."""
    kubectl(apiserver, "apply", "--server-side", "-f", str(CRD))
    wait = ["wait", "--for=condition=Established", CRD_NAME, "--timeout=60s"]
    deadline = time.monotonic() + HANG_SECONDS
    # kubectl fails at once while the new definition has no conditions yet.
    while (done := attempt(apiserver, *wait)).returncode != 0:
        assert time.monotonic() < deadline, done.stderr
        time.sleep(0.2)  # the pause of a poll
    return apiserver


@pytest.fixture(name="cluster")
async def _cluster(
    with_crd: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesCluster]:
    """The operator's client, as an administrator."""
    monkeypatch.setenv("KUBECONFIG", str(with_crd.kubeconfig))
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with kubernetes_cluster(10) as found:
        yield found


def pod_policy(name: str, *validations: dict[str, str]) -> dict[str, Any]:
    """Return a ValidatingAdmissionPolicy for new pods."""
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE"],
        "resources": ["pods"],
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": name},
        "spec": {
            "matchConstraints": {"resourceRules": [rule]},
            "validations": list(validations),
        },
    }
