"""A HealthIngest with a seeded fault, and an operator beside it, on a real API server."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from support.operator_fakes import KEY, manifest
from support.seeded_faults import SeededFault, status_of
from support.servers.apiserver import ApiServer

HEALTHINGESTS = "/apis/healthingest.dev/v1alpha1/namespaces/{space}/healthingests"
MERGE = "application/merge-patch+json"
OPERATOR_LABELS = {
    "app.kubernetes.io/name": "healthingest-operator",
    "app.kubernetes.io/instance": "operator",
}
READY = {"conditions": [{"type": "Ready", "status": "True"}]}
BROKEN_IMAGE = {
    "containerStatuses": [
        {
            "name": "operator",
            "image": "operator:1",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"waiting": {"reason": "ErrImagePull", "message": "not found"}},
        }
    ]
}


class FaultyCluster:
    """A namespace with a HealthIngest, and one with an operator that works."""

    def __init__(self, cluster: KubernetesCluster) -> None:
        self.cluster = cluster
        self.space = f"plugin-{uuid4().hex[:8]}"
        self.operator_space = f"{self.space}-operator"

    async def create(self, seeded: SeededFault) -> None:
        """Create everything, then the fault."""
        for space in (self.space, self.operator_space):
            await self.post("/api/v1/namespaces", {"metadata": {"name": space}})
        await self._create_operator(seeded.cluster)
        await self._create_healthingest(seeded)
        await self._change(seeded.cluster)

    async def patch(self, path: str, body: object) -> None:
        """Apply a merge patch."""
        await self.cluster.call("PATCH", path, body=body, content=MERGE)

    async def _create_operator(self, fault: str) -> None:
        if "no operator" in fault:
            return
        variables = {"other namespaces": "elsewhere"}.get(fault, "")
        container = {
            "name": "operator",
            "image": "operator:1",
            "env": [
                {"name": "HEALTHINGEST_OPERATOR_NAMESPACES", "value": variables},
                {"name": "HEALTHINGEST_OPERATOR_SERVICE_IMAGE", "value": "service:1"},
            ],
        }
        pod = {"serviceAccountName": "operator", "containers": [container]}
        metadata = {"name": "operator", "labels": OPERATOR_LABELS}
        template = {"metadata": {"labels": OPERATOR_LABELS}, "spec": pod}
        spec = {
            "replicas": 0 if fault == "scaled to zero" else 1,
            "selector": {"matchLabels": OPERATOR_LABELS},
            "template": template,
        }
        space = self.operator_space
        deployments = f"/apis/apps/v1/namespaces/{space}/deployments"
        await self.post(deployments, {"metadata": metadata, "spec": spec})
        pods = f"/api/v1/namespaces/{space}/pods"
        named = {"name": "operator-1", "labels": OPERATOR_LABELS}
        await self.post(pods, {"metadata": named, "spec": pod})
        status = BROKEN_IMAGE if fault == "broken image" else READY
        await self.patch(f"{pods}/operator-1/status", {"status": status})
        renewed = datetime.now(UTC) - timedelta(hours=1 if fault == "old Lease" else 0)
        lease = {
            "holderIdentity": "operator-1",
            "leaseDurationSeconds": 600,
            "renewTime": renewed.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        }
        leases = f"/apis/coordination.k8s.io/v1/namespaces/{space}/leases"
        await self.post(leases, {"metadata": {"name": "healthingest-operator"}, "spec": lease})
        if fault != "no rights":
            await self._bind()

    async def _bind(self) -> None:
        rules = "/apis/rbac.authorization.k8s.io/v1"
        role = {
            "metadata": {"name": "operator"},
            "rules": [{"apiGroups": ["healthingest.dev"], "resources": ["*"], "verbs": ["watch"]}],
        }
        await self.post(f"{rules}/namespaces/{self.space}/roles", role)
        subject = {"kind": "ServiceAccount", "name": "operator", "namespace": self.operator_space}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "operator"}
        binding = {"metadata": {"name": "operator"}, "roleRef": reference, "subjects": [subject]}
        await self.post(f"{rules}/namespaces/{self.space}/rolebindings", binding)

    async def _create_healthingest(self, seeded: SeededFault) -> None:
        status = await status_of(seeded, self.space)
        body = manifest(**seeded.spec)
        body["metadata"] = {"name": KEY.name, "finalizers": ["healthingest.dev/cleanup"]}
        await self.post(HEALTHINGESTS.format(space=self.space), body)
        if status:
            await self.patch(f"{self.path}/status", {"status": status})

    async def _change(self, fault: str) -> None:
        if fault == "paused":
            await self.patch(self.path, {"spec": {"paused": True}})
        if fault == "changed spec":
            await self.patch(self.path, {"spec": {"replicas": 3}})
        if fault == "empty Service broker":
            service = {"metadata": {"name": "broker"}, "spec": {"ports": [{"port": 15672}]}}
            await self.post(f"/api/v1/namespaces/{self.space}/services", service)
        if fault == "deleted, other finalizer":
            await self.patch(self.path, {"metadata": {"finalizers": ["example.com/other"]}})
        if fault.startswith("deleted"):
            await self.cluster.call("DELETE", self.path)

    @property
    def path(self) -> str:
        """Path of the HealthIngest in the API."""
        return f"{HEALTHINGESTS.format(space=self.space)}/{KEY.name}"

    async def post(self, path: str, body: object) -> None:
        """Create an object."""
        await self.cluster.call("POST", path, body=body)

    def words(self, *more: str) -> list[str]:
        """Return arguments of the command line, for this HealthIngest and this operator."""
        command, *rest = more
        place = ["--namespace", self.space, "--operator-namespace", self.operator_space]
        return [command, KEY.name, *rest, *place]


@pytest.fixture(name="plugin_path")
def _plugin_path(apiserver: ApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kubectl of this API server is the one on PATH."""
    monkeypatch.setenv("PATH", str(Path(apiserver.kubectl).parent))
    monkeypatch.setenv("KUBECONFIG", str(apiserver.kubeconfig))
