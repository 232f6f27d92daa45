"""`kubectl healthingest diff` shows what the operator would change, on a real API server."""

import asyncio
from dataclasses import dataclass

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.reconcile import reconcile
from healthingest_plugin.main import main
from support import gateway_api
from support.faulty_cluster import FaultyCluster
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes
from support.seeded_faults import SeededFault, never
from support.servers.apiserver import ApiServer

pytestmark = pytest.mark.usefixtures("plugin_path")
SECRETS = [
    "store-secret", "broker-secret", "database-secret", "made-password", "QUJD", "PRIVATE KEY"
]  # fmt: skip


@dataclass
class Rolled:
    """A HealthIngest whose children the operator has made on the API server."""

    made: FaultyCluster
    ports: Ports

    async def reconcile(self) -> None:
        """Let the operator work, and the Job controller after it."""
        key = Key(self.made.space, KEY.name)
        for _ in range(3):
            outcome = await reconcile(self.ports, key)
            assert outcome is not Outcome.INVALID
            await self._end_jobs()

    async def patch(self, api: str, kind: str, name: str, body: object) -> None:
        """Change a child as somebody else would."""
        await self.made.patch(f"{api}/namespaces/{self.made.space}/{kind}/{name}", body)

    async def _end_jobs(self) -> None:
        jobs = f"/apis/batch/v1/namespaces/{self.made.space}/jobs"
        at = "2026-01-01T00:00:00Z"
        for job in (await self.made.cluster.call("GET", jobs) or {})["items"]:
            done = [
                {"type": kind, "status": "True", "lastTransitionTime": at}
                for kind in ("SuccessCriteriaMet", "Complete")
            ]
            status = {"conditions": done, "startTime": at, "completionTime": at, "succeeded": 1}
            if not job.get("status", {}).get("conditions"):
                await self.made.patch(
                    f"{jobs}/{job['metadata']['name']}/status", {"status": status}
                )


@pytest.fixture(name="rolled")
async def _rolled(cluster: KubernetesCluster) -> Rolled:
    """Everything is as the operator wants it."""
    made = FaultyCluster(cluster)
    await made.create(SeededFault("nothing", never, "", ""))
    for name, values in USER_SECRETS.items():
        secret = {"metadata": {"name": name}, "stringData": values}
        await made.post(f"/api/v1/namespaces/{made.space}/secrets", secret)
    fakes = OperatorFakes().ports
    ports = Ports(
        cluster,
        fakes.store,
        fakes.broker,
        fakes.database,
        fakes.clock,
        fakes.generators,
        "service:1",
        cache=fakes.cache,
    )
    found = Rolled(made, ports)
    await found.reconcile()
    return found


async def run(rolled: Rolled) -> int:
    """Run `diff`, and return its exit code."""
    return await asyncio.to_thread(main, rolled.made.words("diff"))


async def test_nothing_differs_after_a_rollout(
    rolled: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    """The objects that the plugin builds are those of the operator, without reading a Secret."""
    assert await run(rolled) == 0
    assert "would change nothing" in capsys.readouterr().out


async def test_a_changed_and_a_deleted_child_are_shown(
    rolled: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    """As drift, with the field manager that changed it; no value of a Secret is printed."""
    body = {"spec": {"template": {"spec": {"terminationGracePeriodSeconds": 5}}}}
    await rolled.patch("/apis/apps/v1", "deployments", "clinic-relay", body)
    policies = f"/apis/networking.k8s.io/v1/namespaces/{rolled.made.space}/networkpolicies"
    await rolled.made.cluster.call("DELETE", f"{policies}/clinic-api")
    assert await run(rolled) == 1
    text = capsys.readouterr().out
    assert "--- live/Deployment/clinic-relay" in text
    assert "-      terminationGracePeriodSeconds: 5" in text
    assert "+      terminationGracePeriodSeconds: 30" in text
    assert "drift: others" in text
    assert "+++ operator/NetworkPolicy/clinic-api" in text
    assert "it does not exist" in text
    assert [secret for secret in SECRETS if secret in text] == []
    await rolled.reconcile()
    assert await run(rolled) == 0


async def test_a_changed_spec_is_shown_while_it_is_paused(
    rolled: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    """An Ingress comes, and the replicas change; then the operator does just that."""
    spec = {"paused": True, "replicas": 5, "ingress": {"host": "clinic.example"}}
    await rolled.made.patch(rolled.made.path, {"spec": spec})
    assert await run(rolled) == 1
    text = capsys.readouterr().out
    assert "+  replicas: 5" in text
    assert "+++ operator/Ingress/clinic" in text
    assert "the spec, the operator's version or a value from a Secret has changed" in text
    assert "# it is paused" in text
    await rolled.made.patch(rolled.made.path, {"spec": {"paused": False}})
    await rolled.reconcile()
    assert await run(rolled) == 0


async def test_an_http_route_is_shown(
    rolled: Rolled, with_crd: ApiServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before the operator creates it; a cluster without the Gateway API explains itself."""
    await rolled.made.patch(
        rolled.made.path, {"spec": {"httpRoute": {"parentRefs": [{"name": "a"}]}}}
    )
    await rolled.reconcile()
    await asyncio.to_thread(main, rolled.made.words("explain"))
    assert "RouteReady is False (GatewayApiMissing)" in capsys.readouterr().out
    with gateway_api.installed(with_crd, gateway_api.SMALL):
        assert await run(rolled) == 1
        assert "+++ operator/HTTPRoute/clinic" in capsys.readouterr().out
        await rolled.reconcile()
        assert await run(rolled) == 0
        await asyncio.to_thread(main, rolled.made.words("status"))
        assert "RouteReady: True" in capsys.readouterr().out


async def test_a_child_that_is_no_longer_wanted_is_shown(
    rolled: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is removed as a whole."""
    await rolled.made.patch(rolled.made.path, {"spec": {"ingress": {"host": "clinic.example"}}})
    await rolled.reconcile()
    await rolled.made.patch(rolled.made.path, {"spec": {"ingress": None}})
    assert await run(rolled) == 1
    text = capsys.readouterr().out
    assert "Ingress" in text
    assert "it is no longer wanted" in text
    assert "+++ /dev/null" in text


async def test_a_value_from_a_secret_that_others_changed_is_named(
    rolled: Rolled, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its right value is unknown to the plugin, its owner is not."""
    body = {"data": {"HEALTHINGEST_BROKER__ENDPOINT": "elsewhere:5672"}}
    await rolled.patch("/api/v1", "configmaps", "clinic-config", body)
    assert await run(rolled) == 1
    text = capsys.readouterr().out
    assert "data.HEALTHINGEST_BROKER__ENDPOINT was changed by" in text
