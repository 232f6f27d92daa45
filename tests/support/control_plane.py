"""
The private API server as tests of the operator use it.

Kubectl, our definition in it, the operator's own client.
"""

import json
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster, kubernetes_cluster
from support.servers.apiserver import ApiServer

CRD: Final = Path(__file__).parents[2] / "crds" / "healthingests.healthingest.dev.yaml"
_SECONDS: Final = 60


def attempt(
    server: ApiServer, *words: str, given: object = None
) -> subprocess.CompletedProcess[str]:
    """Run kubectl as the administrator, however it ends; *given* is fed to it as JSON."""
    command = [server.kubectl, "--kubeconfig", str(server.kubeconfig), *words]
    text = None if given is None else json.dumps(given)
    return subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=_SECONDS, check=False
    )


def kubectl(server: ApiServer, *words: str, given: object = None) -> str:
    """What it prints; it must succeed."""
    done = attempt(server, *words, given=given)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="session", name="with_crd")
def _with_crd(apiserver: ApiServer) -> ApiServer:
    """The API server that knows HealthIngests."""
    kubectl(apiserver, "apply", "--server-side", "-f", str(CRD))
    kubectl(
        apiserver,
        "wait",
        "--for=condition=Established",
        "crd/healthingests.healthingest.dev",
        "--timeout=60s",
    )
    return apiserver


@pytest.fixture(name="cluster")
async def _cluster(
    with_crd: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[KubernetesCluster]:
    """The operator's client, as an administrator."""
    monkeypatch.setattr(
        "kubernetes.aio.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(with_crd.kubeconfig)
    )
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    async with kubernetes_cluster(10) as found:
        yield found
