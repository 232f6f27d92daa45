"""The CustomResourceDefinition and the operator's Kubernetes client on a real apiserver."""

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import HealthIngest, Key, parse
from healthingest_operator.reconcile.children import Children
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.resources.children import KINDS, foundations, workload
from healthingest_operator.resources.comparison import difference
from healthingest_operator.resources.configuration import Surroundings, configuration
from healthingest_operator.resources.pods import Build
from support.control_plane import attempt
from support.operator_fakes import manifest
from support.servers.apiserver import ApiServer

ROOT = Path(__file__).parents[2]


class Kubectl:
    """kubectl against the apiserver, in a namespace of its own."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self.namespace = f"test-{uuid4().hex[:8]}"

    def __call__(self, *words: str, given: object = None) -> subprocess.CompletedProcess[str]:
        """Run it; *given* is fed to it as JSON."""
        return attempt(self._server, *words, given=given)

    def apply(self, found: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        """Apply with strict validation, as kubectl does by default."""
        body = {
            **found,
            "metadata": {"name": found["metadata"]["name"], "namespace": self.namespace},
        }
        return self("apply", "-f", "-", given=body)

    def get(self, kind: str, name: str) -> dict[str, Any]:
        """An object."""
        answer = self("get", kind, name, "-n", self.namespace, "-o", "json")
        assert answer.returncode == 0, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found


@pytest.fixture(name="kubectl")
def _kubectl(with_crd: ApiServer) -> Iterator[Kubectl]:
    run = Kubectl(with_crd)
    answer = run("create", "namespace", run.namespace)
    assert answer.returncode == 0, answer.stderr
    yield run
    run("delete", "healthingests", "--all", "-n", run.namespace, "--wait=false")


@pytest.mark.parametrize(
    "path", sorted((ROOT / "examples").glob("0[1-9]-*.yaml")), ids=lambda path: path.stem
)
def test_examples_are_accepted(kubectl: Kubectl, path: Path) -> None:
    """With strict validation, and what the server completes reads as what was written."""
    found = next(
        entry for entry in yaml.safe_load_all(path.read_text()) if entry["kind"] == "HealthIngest"
    )
    answer = kubectl.apply(found)
    assert answer.returncode == 0, answer.stderr
    stored = kubectl.get("healthingest", found["metadata"]["name"])
    assert parse({**stored, "spec": found["spec"]}) == parse(stored)


REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("an unknown field", {"colour": "red"}, "unknown field"),
    (
        "bounds the wrong way round",
        {"autoscaling": {"minReplicas": 3, "maxReplicas": 2}},
        "minReplicas",
    ),
    ("a rate without a unit", {"limits": {"uploads": "10"}}, "limits.uploads"),
    ("a size that S3 cannot take", {"limits": {"maxFileSize": "6Gi"}}, "5Gi"),
    ("an allow-list of nothing", {"schemas": {"mode": "Allowed"}}, "configMapRef"),
    ("a host that is none", {"ingress": {"host": "UPPER.example"}}, "ingress.host"),
    (
        "a bucket like an address",
        {"objectStore": {"bucket": "10.0.0.1", "credentialsSecretRef": {"name": "s3"}}},
        "IP address",
    ),
    (
        "a bucket with two dots",
        {"objectStore": {"bucket": "a..b", "credentialsSecretRef": {"name": "s3"}}},
        "adjacent dots",
    ),
    (
        "a key without its mode",
        {
            "objectStore": {
                "bucket": "abc",
                "credentialsSecretRef": {"name": "s3"},
                "encryption": {"keyId": "k"},
            }
        },
        "SSE-KMS",
    ),
    (
        "keys and a role",
        {
            "objectStore": {
                "bucket": "abc",
                "credentialsSecretRef": {"name": "s3"},
                "webIdentity": {"roleArn": "arn:aws:iam::1:role/a"},
            }
        },
        "not permitted with credentialsSecretRef",
    ),
    (
        "a queue like a dead-letter queue",
        {
            "broker": {
                "adminSecretRef": {"name": "r"},
                "queues": [{"name": "a"}, {"name": "a.dead"}],
            }
        },
        "dead-letter queue",
    ),
]


@pytest.mark.parametrize(
    ("spec", "said"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_breaks_a_rule_is_refused(kubectl: Kubectl, spec: dict[str, Any], said: str) -> None:
    """By the apiserver itself: no webhook has to be there."""
    answer = kubectl.apply(manifest(**spec))
    assert answer.returncode != 0
    assert said in answer.stderr


def test_a_long_name_is_refused(kubectl: Kubectl) -> None:
    """Names of children are made of it."""
    found = manifest()
    found["metadata"]["name"] = "a" * 41
    assert "40 characters" in kubectl.apply(found).stderr


@pytest.mark.parametrize(
    ("group", "field"),
    [("objectStore", "bucket"), ("broker", "virtualHost"), ("broker", "exchange")],
)
def test_what_holds_data_cannot_be_renamed(kubectl: Kubectl, group: str, field: str) -> None:
    """Neither changed nor, where it is optional, taken away."""
    assert kubectl.apply(manifest()).returncode == 0
    for value in ("other", None):
        patch = json.dumps({"spec": {group: {field: value}}})
        words = (
            "patch",
            "healthingest",
            "clinic",
            "-n",
            kubectl.namespace,
            "--type=merge",
            "-p",
            patch,
        )
        answer = kubectl(*words)
        if value is None and field == "exchange":
            assert answer.returncode == 0  # its default comes back
        else:
            assert answer.returncode != 0, f"{field} became {value}"


async def test_status_is_written_and_shown(kubectl: Kubectl, cluster: KubernetesCluster) -> None:
    """What the operator writes is kept, what it no longer writes goes, and the columns show it."""
    assert kubectl.apply(manifest()).returncode == 0
    key = Key(kubectl.namespace, "clinic")
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Available",
        "message": "m",
        "observedGeneration": 1,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    first = {
        "observedGeneration": 1,
        "conditions": [ready],
        "url": "http://a",
        "replicas": 2,
        "selector": "a=b",
    }
    await cluster.write_status(key, first)
    found = await cluster.health_ingest(key)
    assert found is not None
    assert found["status"] == first
    shown = (await asyncio.to_thread(kubectl, "get", "hi", "-n", kubectl.namespace)).stdout
    assert shown.splitlines()[1].split()[:5] == ["clinic", "True", "2", "http://a", "Available"]
    second = {name: value for name, value in first.items() if name != "url"}
    await cluster.write_status(key, second)
    found = await cluster.health_ingest(key)
    assert found is not None
    assert found["status"] == second
    scale = await asyncio.to_thread(
        kubectl,
        "get",
        "--raw",
        f"/apis/healthingest.dev/v1alpha1/namespaces/{kubectl.namespace}/healthingests/clinic/scale",
    )
    assert json.loads(scale.stdout)["status"] == {"replicas": 2, "selector": "a=b"}


async def owner_in(kubectl: Kubectl, cluster: KubernetesCluster, **spec: object) -> HealthIngest:
    """A HealthIngest that the server knows."""
    answer = await asyncio.to_thread(kubectl.apply, manifest(**spec))
    assert answer.returncode == 0, answer.stderr
    found = await cluster.health_ingest(Key(kubectl.namespace, "clinic"))
    assert found is not None
    return parse(found)


async def test_children_are_accepted_and_stay_as_desired(
    kubectl: Kubectl, cluster: KubernetesCluster
) -> None:
    """
    Every child passes the server.

    What it adds and rewrites is no difference, and a second apply changes nothing.
    """
    owner = await owner_in(
        kubectl,
        cluster,
        autoscaling={"maxReplicas": 3},
        ingress={"host": "a.example"},
        resources={"requests": {"cpu": "0.5", "memory": "1024Mi"}},
    )
    config = configuration(owner.spec, Surroundings("broker:5672", "http://clinic"))
    ports = {"store": (443,), "broker": (5672,), "database": (5432,), "cache": tuple[int, ...]()}
    children = [
        *foundations(owner, config, ports),
        *workload(owner, Build("service:1", "a", "b", "c")),
    ]
    for child in children:
        live = await cluster.apply(child)
        assert difference(child, live) is None, child["kind"]
        again = await cluster.apply(child)
        assert again["metadata"]["resourceVersion"] == live["metadata"]["resourceVersion"], child[
            "kind"
        ]
    listed = [
        (kind, found["metadata"]["name"])
        for version, kind in KINDS
        for found in await cluster.children(version, kind, owner.key)
    ]
    assert sorted(listed) == sorted(
        (child["kind"], child["metadata"]["name"]) for child in children
    )


async def test_replicas_survive_a_switch_to_autoscaling(
    kubectl: Kubectl, cluster: KubernetesCluster
) -> None:
    """
    Handed over first, the number stays when the operator stops writing it.

    Unasked it would fall to one.
    """
    owner = await owner_in(kubectl, cluster, replicas=4)
    build = Build("service:1", "a", "b", "c")
    live = await cluster.apply(workload(owner, build)[0])
    assert live["spec"]["replicas"] == 4
    scaled = await owner_in(kubectl, cluster, autoscaling={"maxReplicas": 6})
    await cluster.hand_over_replicas(live, 4)
    assert (await cluster.apply(workload(scaled, build)[0]))["spec"]["replicas"] == 4


async def test_a_port_under_another_number_is_put_right(
    kubectl: Kubectl, cluster: KubernetesCluster
) -> None:
    """
    Its number is its key.

    An apply alone would add a second port of the same name, and be refused for ever.
    """
    owner = await owner_in(kubectl, cluster)
    wanted = workload(owner, Build("service:1", "a", "b", "c"))[0]
    await cluster.apply(wanted)
    children = Children(cluster, owner, expected=True)
    await children.observe()
    (live,) = [
        child
        for child in children.live.values()
        if child["metadata"]["name"] == wanted["metadata"]["name"]
    ]
    await cluster.set_fields(
        live, [("/spec/template/spec/containers/0/ports/0/containerPort", 8888)]
    )
    await children.observe()
    await children.ensure([wanted])
    assert difference(wanted, children.live["Deployment", wanted["metadata"]["name"]]) is None


async def test_a_refusal_bears_no_secret(kubectl: Kubectl, cluster: KubernetesCluster) -> None:
    """The server may quote what it refuses; for a Secret its words are kept back."""
    metadata = {"name": "a", "namespace": kubectl.namespace}
    broken = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "data": {"a": "hush, no Base64"},
    }
    with pytest.raises(ClusterError) as raised:
        await cluster.apply(broken)
    assert raised.value.status >= 400
    assert "hush" not in str(raised.value)


async def test_what_is_gone_is_gone(kubectl: Kubectl, cluster: KubernetesCluster) -> None:
    """Reading and deleting what is not there is no error."""
    assert await cluster.health_ingest(Key(kubectl.namespace, "nobody")) is None
    metadata = {"name": "a", "namespace": kubectl.namespace}
    made = await cluster.apply(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {}}
    )
    await cluster.delete(made)
    await cluster.delete(made)
    await cluster.emit_event(made, "Normal", "Provisioned", "m")


async def test_a_namespace_that_goes_is_known(kubectl: Kubectl, cluster: KubernetesCluster) -> None:
    """Without the right to read namespaces; nothing is left of the question."""
    assert not await cluster.is_terminating(kubectl.namespace)
    await asyncio.to_thread(kubectl, "delete", "namespace", kubectl.namespace, "--wait=false")
    assert await cluster.is_terminating(kubectl.namespace)
    assert await cluster.is_terminating("no-such-namespace")
    events = await asyncio.to_thread(
        kubectl, "get", "events", "-n", kubectl.namespace, "-o", "name"
    )
    assert events.stdout == ""
