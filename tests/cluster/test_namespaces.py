"""
The operator with `watchNamespaces`: a process with the chart's rights, a real apiserver.

There are no controllers here: what the namespace controller does, first of all to Roles, the tests
do.
"""

import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from support.control_plane import attempt, kubectl, remove_namespace
from support.deadlines import HANG_SECONDS
from support.operator_fakes import manifest
from support.servers.apiserver import ApiServer
from support.servers.process import free_port

CHART = Path(__file__).parents[2] / "charts" / "healthingest-operator"
REFUSED = "healthingest_operator_refused_namespaces"


class Installation:
    """A release of the chart without its pods, and an operator process with its ServiceAccount."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self.home = f"home-{uuid4().hex[:8]}"
        self._health = free_port()
        self._metrics = free_port()
        self.running: subprocess.Popen[bytes] | None = None
        kubectl(server, "create", "namespace", self.home)

    def grant(self, *words: str) -> list[dict[str, Any]]:
        """Apply the rights that the chart gives with these values; returns them."""
        helm = shutil.which("helm")
        if helm is None:
            pytest.skip("no `helm` on PATH")
        # Rendered with the cluster at hand, as an installation is.
        command = [
            helm,
            "template",
            self.home,
            str(CHART),
            "--namespace",
            self.home,
            "--dry-run=server",
        ]
        environment = os.environ | {"KUBECONFIG": str(self.server.kubeconfig)}
        more = ["--take-ownership", "--set", "crds.enabled=false", *words]
        done = subprocess.run(
            [*command, *more],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        kinds = {"ServiceAccount", "Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
        found = [one for one in yaml.safe_load_all(done.stdout) if one and one["kind"] in kinds]
        for document in found:
            kubectl(self.server, "apply", "-f", "-", given=document)
        return found

    def revoke(self, namespace: str) -> None:
        """What the namespace controller does first."""
        kubectl(self.server, "delete", "rolebindings,roles", "--all", "--namespace", namespace)

    def remove(self, namespace: str) -> None:
        """Delete a namespace with all that the tests make in it."""
        attempt(self.server, "delete", "healthingests", "--all", "--namespace", namespace)
        remove_namespace(self.server, namespace)

    def start(self, *namespaces: str) -> None:
        """The operator for these namespaces."""
        name = f"{self.home}-healthingest-operator"
        token = kubectl(self.server, "create", "token", name, "--namespace", self.home).strip()
        config = yaml.safe_load(self.server.kubeconfig.read_text())
        config["users"][0]["user"] = {"token": token}
        path = self._folder / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        more = {
            "KUBECONFIG": str(path),
            "HEALTHINGEST_OPERATOR_SERVICE_IMAGE": "service:1",
            "HEALTHINGEST_OPERATOR_NAMESPACES": ",".join(namespaces),
            "HEALTHINGEST_OPERATOR_DELETION_DEADLINE_SECONDS": "1",
            "HEALTHINGEST_OPERATOR_HEALTH_PORT": str(self._health),
            "HEALTHINGEST_OPERATOR_METRICS_PORT": str(self._metrics),
        }
        inherited = {
            name: value for name, value in os.environ.items() if not name.startswith("KUBERNETES_")
        }
        with (self._folder / "operator.log").open("ab") as log:
            command = [sys.executable, "-m", "healthingest_operator.main"]
            self.running = subprocess.Popen(command, env=inherited | more, stdout=log, stderr=log)

    def stop(self) -> None:
        """End it, as a node that dies does."""
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def refused(self) -> float | None:
        """How many namespaces the operator says that it cannot serve."""
        for line in self._get(self._metrics, "/metrics").splitlines():
            if line.startswith(f"{REFUSED} "):
                return float(line.split()[1])
        return None

    def is_alive(self) -> bool:
        """What the kubelet is told."""
        return bool(self._get(self._health, "/healthz"))

    @staticmethod
    def _get(port: int, path: str) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
                return str(answer.read().decode())
        except (OSError, urllib.error.URLError):
            return ""

    def make(self, namespace: str) -> None:
        """A HealthIngest whose Secrets are missing."""
        body = manifest()
        body["metadata"] = {"name": "clinic", "namespace": namespace}
        kubectl(self.server, "apply", "-f", "-", given=body)

    def has_looked(self, namespace: str) -> bool:
        """Whether the operator has written a status and its finalizer."""
        found = self._clinic(namespace) or {"metadata": {}}
        conditions = (found.get("status") or {}).get("conditions")
        return bool(conditions and found["metadata"].get("finalizers"))

    def is_gone(self, namespace: str) -> bool:
        """Whether nothing is left of the HealthIngest."""
        return self._clinic(namespace) is None

    def _clinic(self, namespace: str) -> dict[str, Any] | None:
        words = (
            "get",
            "healthingest",
            "clinic",
            "--namespace",
            namespace,
            "--output",
            "json",
            "--ignore-not-found",
        )
        text = kubectl(self.server, *words)
        return json.loads(text) if text else None


def wait_until(holds: Callable[[], object]) -> None:
    """Return when *holds* is true."""
    deadline = time.monotonic() + HANG_SECONDS
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)  # the pause of a poll


@pytest.fixture(name="installation")
def _installation(with_crd: ApiServer, tmp_path: Path) -> Iterator[Installation]:
    found = Installation(with_crd, tmp_path)
    yield found
    found.stop()
    for kind in ("clusterrolebindings", "clusterroles"):
        attempt(with_crd, "delete", kind, "--selector", f"app.kubernetes.io/instance={found.home}")


@pytest.fixture(name="space")
def _space(with_crd: ApiServer) -> str:
    name = f"space-{uuid4().hex[:8]}"
    kubectl(with_crd, "create", "namespace", name)
    return name


@pytest.mark.parametrize("cluster_roles", ["true", "false"])
def test_a_namespace_that_is_not_there_stops_no_other(
    installation: Installation, space: str, cluster_roles: str
) -> None:
    """
    It is named before it exists.

    The chart makes no Role in it, and it is served once it and its Role are there.
    """
    later = f"later-{uuid4().hex[:8]}"
    words = (
        "--set",
        f"watchNamespaces={{{later},{space}}}",
        "--set",
        f"clusterRoles={cluster_roles}",
    )
    granted = installation.grant(*words)
    roles = {one["metadata"]["namespace"] for one in granted if one["kind"] == "Role"}
    assert roles == {space, installation.home}  # in the second it has its Lease
    installation.start(later, space)
    installation.make(space)
    wait_until(partial(installation.has_looked, space))
    wait_until(lambda: installation.refused() == 1)
    assert installation.is_alive()
    kubectl(installation.server, "create", "namespace", later)
    installation.make(later)
    installation.grant(*words)
    wait_until(partial(installation.has_looked, later))
    wait_until(lambda: installation.refused() == 0)


@pytest.mark.parametrize("cluster_roles", ["true", "false"])
def test_a_namespace_that_comes_back_is_served_again(
    installation: Installation, space: str, cluster_roles: str
) -> None:
    """
    It is deleted with its HealthIngests and its Role, and created again.

    A HealthIngest with the name of a deleted one is reconciled like a new one.
    """
    stays = f"stays-{uuid4().hex[:8]}"
    kubectl(installation.server, "create", "namespace", stays)
    words = (
        "--set",
        f"watchNamespaces={{{space},{stays}}}",
        "--set",
        f"clusterRoles={cluster_roles}",
    )
    installation.grant(*words)
    installation.start(space, stays)
    installation.make(space)
    wait_until(partial(installation.has_looked, space))
    installation.remove(space)
    wait_until(lambda: installation.refused() == 1)
    installation.make(stays)
    wait_until(partial(installation.has_looked, stays))
    kubectl(installation.server, "create", "namespace", space)
    installation.make(space)
    installation.grant(*words)
    wait_until(partial(installation.has_looked, space))
    wait_until(lambda: installation.refused() == 0)
    assert installation.is_alive()


@pytest.mark.parametrize("dies", ["nothing", "operator"])
def test_the_finalizer_is_released_whatever_goes_first(
    installation: Installation, space: str, dies: str
) -> None:
    """
    Role and binding go before the HealthIngest, and the operator with them.

    Another namespace is served on.
    """
    other = f"other-{uuid4().hex[:8]}"
    kubectl(installation.server, "create", "namespace", other)
    installation.grant("--set", f"watchNamespaces={{{space},{other}}}")
    installation.start(space, other)
    installation.make(space)
    wait_until(partial(installation.has_looked, space))
    installation.revoke(space)
    if dies == "operator":
        installation.stop()
    kubectl(
        installation.server,
        "delete",
        "healthingest",
        "clinic",
        "--namespace",
        space,
        "--wait=false",
    )
    if dies == "operator":
        installation.start(space, other)
    wait_until(partial(installation.is_gone, space))
    installation.make(other)
    wait_until(partial(installation.has_looked, other))
    assert installation.is_alive()
