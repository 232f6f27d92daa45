"""The chart's role on a real apiserver: enough for a whole life, and nothing that is never used."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from healthingest_operator.adapters.kubernetes.cluster import _APPLY, KubernetesCluster
from healthingest_operator.api.healthingest import Key
from healthingest_operator.handlers.children import WATCHED
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.reconcile import reconcile
from support import gateway_api
from support.control_plane import kubectl
from support.operator_fakes import USER_SECRETS, OperatorFakes, manifest
from support.servers.apiserver import ApiServer
from support.superfluous import superfluous_children

ROOT = Path(__file__).parents[2]
ACCOUNT = "system:serviceaccount:default:{release}-healthingest-operator"
NOW = "2026-01-01T00:00:00Z"
Grant = tuple[str, str, str]
Run = Callable[..., str]


@pytest.fixture(name="run")
def _run(with_crd: ApiServer) -> Run:
    """Run kubectl as the administrator."""
    return partial(kubectl, with_crd)


def _rendered(*words: str, release: str = "release") -> list[dict[str, Any]]:
    helm = shutil.which("helm")
    if helm is None:
        pytest.skip("no `helm` on PATH")
    command = [
        helm,
        "template",
        release,
        str(ROOT / "charts" / "healthingest-operator"),
        "--namespace",
        "default",
    ]
    text = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=30, check=True
    ).stdout
    return [document for document in yaml.safe_load_all(text) if document]


@pytest.fixture(name="granted")
def _granted(run: Run) -> Iterator[set[Grant]]:
    """What the chart grants, applied to the apiserver."""
    documents = [one for one in _rendered() if one["kind"] in {"ClusterRole", "ClusterRoleBinding"}]
    for document in documents:
        # Other tests install releases meanwhile, which are refused beside one that serves all.
        document["metadata"]["labels"].pop("healthingest.dev/serves", None)
        run("apply", "-f", "-", given=document)
    yield _grants(documents, "default:release-healthingest-operator")
    for document in documents:
        run("delete", "-f", "-", given=document)


def _grants(documents: list[dict[str, Any]], name: str) -> set[Grant]:
    role = next(one for one in documents if one["metadata"]["name"] == name and "rules" in one)
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


class Recording(KubernetesCluster):
    """Notes which right each request needs."""

    def __init__(self, inner: KubernetesCluster) -> None:
        super().__init__(inner._connection, inner._timeout_seconds)
        self.used: set[Grant] = set()

    # ANN401: as it is
    async def call(self, method: str, path: str, **more: Any) -> dict[str, Any] | None:  # noqa: ANN401
        """See `KubernetesCluster.call`."""
        parts = path.removeprefix("/apis/").removeprefix("/api/v1/").split("/")
        group = "" if path.startswith("/api/v1/") else parts[0]
        _, _, resource, *rest = parts if group == "" else parts[2:]
        resource = "/".join([resource, *rest[1:]])
        verbs = {
            "GET": "get" if rest else "list",
            "POST": "create",
            "DELETE": "delete",
            "PATCH": "patch",
        }
        self.used.add((group, resource, verbs[method]))
        if more.get("content") == _APPLY and "/" not in resource:
            self.used.add((group, resource, "create"))
        return await super().call(method, path, **more)


@pytest.fixture(name="restricted")
def _restricted(cluster: KubernetesCluster) -> Recording:
    """With the rights of the chart alone."""
    cluster._connection.headers["Impersonate-User"] = ACCOUNT.format(release="release")
    return Recording(cluster)


async def whole_life(run: Run, cluster: Recording, key: Key) -> None:
    """
    From nothing to a rolled-out service, with and without every optional part, to the end.

    In between, children of all kinds that another version has left.
    """
    fakes = OperatorFakes()
    ports = replace(fakes.ports, cluster=cluster)
    space = ("-n", key.namespace)
    for name, values in USER_SECRETS.items():
        pairs = [f"--from-literal={word}={value}" for word, value in values.items()]
        run("create", "secret", "generic", name, *space, *pairs)
    body = manifest(
        ingress={"host": "a.example"},
        httpRoute={"parentRefs": [{"name": "public"}]},
        autoscaling={"maxReplicas": 3},
        replicas=2,
    )
    body["metadata"] = {"name": key.name, "namespace": key.namespace}
    run("apply", "-f", "-", given=body)
    await reconcile(ports, key)
    job = run("get", "jobs", *space, "-o", "name").strip()
    ends = [
        {"type": kind, "status": "True", "lastTransitionTime": NOW}
        for kind in ("SuccessCriteriaMet", "Complete")
    ]
    status = {"startTime": NOW, "completionTime": NOW, "succeeded": 1, "conditions": ends}
    run(
        "patch",
        job,
        *space,
        "--subresource=status",
        "--type=merge",
        "-p",
        json.dumps({"status": status}),
    )
    await reconcile(ports, key)
    labels = json.loads(run("get", "deployment", "clinic-api", *space, "-o", "json"))["spec"][
        "template"
    ]["metadata"]
    containers = [{"name": "a", "image": "a"}]
    pod = {"apiVersion": "v1", "kind": "Pod", "spec": {"containers": containers}}
    run(
        "apply",
        "-f",
        "-",
        given={**pod, "metadata": {"name": "a", **labels, "namespace": key.namespace}},
    )
    live = await cluster.health_ingest(key)
    assert live is not None
    for child in superfluous_children(live):
        run("apply", "-f", "-", given=child)
    run(
        "patch",
        "healthingest",
        key.name,
        *space,
        "--type=json",
        "-p",
        '[{"op": "remove", "path": "/spec/ingress"}, {"op": "remove", "path": "/spec/httpRoute"}]',
    )
    await reconcile(ports, key)
    run("delete", job, *space)
    patch = json.dumps({"spec": {"autoscaling": None, "image": "service:2"}})
    run("patch", "healthingest", key.name, *space, "--type=merge", "-p", patch)
    await reconcile(ports, key)
    found = await cluster.health_ingest(key)
    assert found is not None
    run("delete", "secret", "s3", *space)
    found["metadata"]["deletionTimestamp"] = NOW
    found["metadata"]["finalizers"] = []
    await finalize(ports, found, timedelta(days=36500))


async def test_the_role_is_enough_and_no_more(
    run: Run, granted: set[Grant], restricted: Recording, with_crd: ApiServer
) -> None:
    """Every request of a whole life is allowed; every right is used, by a request or by a watch."""
    key = Key(f"rbac-{uuid4().hex[:8]}", "clinic")
    run("create", "namespace", key.namespace)
    with gateway_api.installed(with_crd, gateway_api.SMALL):
        await whole_life(run, restricted, key)
    with pytest.raises(ClusterError) as refused:
        await restricted.children("v1", "Secret", key)
    assert refused.value.status == 403
    restricted.used.discard(("", "secrets", "list"))
    watched = {(group, plural, verb) for group, _, plural in WATCHED for verb in ("list", "watch")}
    own = {
        ("healthingest.dev", "healthingests", verb) for verb in ("list", "watch", "patch")
    }  # patch: the finalizer
    needed = restricted.used | watched | own
    assert needed - granted == set()
    assert granted - needed == set()


async def test_what_releases_a_health_ingest_outlives_its_role(
    run: Run, restricted: Recording
) -> None:
    """
    With `watchNamespaces`, and after the Role is gone.

    It is found and released, and nothing else is allowed.
    """
    space = f"rbac-{uuid4().hex[:8]}"
    # A release of its own: the tests may run at the same time.
    restricted._connection.headers["Impersonate-User"] = ACCOUNT.format(release=space)
    documents = _rendered("--set", f"watchNamespaces={{{space}}}", release=space)
    granted = _grants(documents, f"default:{space}-healthingest-operator-finalizers")
    assert granted == {
        ("healthingest.dev", "healthingests", verb) for verb in ("list", "watch", "patch")
    }
    in_role = _grants(documents, f"{space}-healthingest-operator")
    assert in_role == _grants(_rendered(), "default:release-healthingest-operator")
    run("create", "namespace", space)
    bound = [one for one in documents if one["kind"] in {"ClusterRole", "ClusterRoleBinding"}]
    for document in bound:
        run("apply", "-f", "-", given=document)
    body = manifest()
    body["metadata"] = {
        "name": "clinic",
        "namespace": space,
        "finalizers": ["healthingest.dev/cleanup"],
    }
    run("apply", "-f", "-", given=body)
    path = f"/apis/healthingest.dev/v1alpha1/namespaces/{space}/healthingests"
    try:
        assert len((await restricted.call("GET", path) or {})["items"]) == 1
        query = [("watch", "true"), ("timeoutSeconds", "1")]
        async for event in restricted.stream(
            path, query=query, accept="application/json", seconds=1
        ):
            assert event is None or event["type"] == "ADDED"
        with pytest.raises(ClusterError, match="403"):
            await restricted.health_ingest(Key(space, "clinic"))
        with pytest.raises(ClusterError, match="403"):
            await restricted.read("v1", "Secret", space, "s3")
        with pytest.raises(ClusterError, match="403"):
            await restricted.write_status(Key(space, "clinic"), {})
        run("delete", "healthingest", "clinic", "-n", space, "--wait=false")
        released = {"metadata": {"finalizers": None}}
        await restricted.call(
            "PATCH", f"{path}/clinic", body=released, content="application/merge-patch+json"
        )
        assert run("get", "healthingests", "-n", space, "-o", "name") == ""
    finally:
        for document in bound:
            run("delete", "-f", "-", given=document)
