"""Refusals of a real API server, as the Job controller records them, become conditions."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from healthingest_operator.adapters.kubernetes.cluster import KubernetesCluster
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.ports import Ports
from healthingest_operator.reconcile.reconcile import reconcile
from support.control_plane import attempt, kubectl, pod_policy
from support.operator_fakes import USER_SECRETS, OperatorFakes, manifest
from support.servers.apiserver import ApiServer

SECRET = "hush-hush"
Run = Callable[..., str]


@pytest.fixture(name="run")
def _run(with_crd: ApiServer) -> Run:
    """Run kubectl as the administrator."""
    return partial(kubectl, with_crd)


def quota(hard: dict[str, str]) -> dict[str, Any]:
    """With the status that the quota controller would write: there is none here."""
    head = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}}
    return {**head, "spec": {"hard": hard}}


POLICY = pod_policy("no-user-ids", {"expression": "false", "message": SECRET})
LIMIT_RANGE = {
    "apiVersion": "v1",
    "kind": "LimitRange",
    "metadata": {"name": "small"},
    "spec": {"limits": [{"type": "Container", "max": {"memory": "100Mi"}}]},
}


def use_up(run: Run, space: str) -> None:
    """No pod fits."""
    set_quota(run, space, {"pods": "0"})


def demand_limits(run: Run, space: str) -> None:
    """Pods without limits of the processor are refused."""
    set_quota(run, space, {"limits.cpu": "1"})


def set_quota(run: Run, space: str, hard: dict[str, str]) -> None:
    """As the quota controller leaves it."""
    run("apply", "-n", space, "-f", "-", given=quota(hard))
    status = json.dumps({"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}})
    run(
        "patch",
        "resourcequota",
        "small",
        "-n",
        space,
        "--subresource=status",
        "--type=merge",
        "-p",
        status,
    )


def limit_memory(run: Run, space: str) -> None:
    """Containers may have less than they ask for."""
    run("apply", "-n", space, "-f", "-", given=LIMIT_RANGE)


def refuse_by_policy(run: Run, space: str) -> None:
    """Every pod of the namespace."""
    run("apply", "-f", "-", given=POLICY)
    run("label", "namespace", space, f"policy={space}")
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "no-user-ids"},
        "spec": {
            "policyName": "no-user-ids",
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": {"policy": space}}},
        },
    }
    run("apply", "-f", "-", given=binding)


def restrict_harder(run: Run, space: str) -> None:
    """Pods of the operator keep `restricted`: one that somebody has changed does not."""
    run("label", "namespace", space, "pod-security.kubernetes.io/enforce=restricted")


BROKEN = [
    (
        use_up,
        "QuotaExceeded",
        "ResourceQuota small is exceeded (requested pods=1, used pods=0, limited pods=0)",
    ),
    (
        demand_limits,
        "QuotaExceeded",
        "ResourceQuota small requires limits.cpu for: migrate",
    ),
    (
        limit_memory,
        "QuotaExceeded",
        "maximum memory usage per Container is 100Mi, but limit is 256Mi",
    ),
    (refuse_by_policy, "AdmissionRefused", "ValidatingAdmissionPolicy no-user-ids refuses it"),
    (restrict_harder, "AdmissionRefused", "it violates PodSecurity restricted:latest"),
]


@pytest.mark.parametrize(
    ("break_it", "reason", "said"), BROKEN, ids=[row[0].__name__ for row in BROKEN]
)
async def test_what_the_api_server_refuses_is_named(
    run: Run,
    with_crd: ApiServer,
    cluster: KubernetesCluster,
    break_it: Callable[[Run, str], None],
    reason: str,
    said: str,
) -> None:
    """
    The pod of the migration's own Job is refused by a real quota, range or policy.

    The condition says by which.
    """
    key = Key(f"refused-{uuid4().hex[:8]}", "clinic")
    run("create", "namespace", key.namespace)
    ports = await begin(run, cluster, key)
    break_it(run, key.namespace)
    job = json.loads(run("get", "jobs", "-n", key.namespace, "-o", "json"))["items"][0]
    template = job["spec"]["template"]
    if break_it is restrict_harder:
        template["spec"]["containers"][0]["securityContext"]["allowPrivilegeEscalation"] = True
    metadata = {**template["metadata"], "name": "try", "namespace": key.namespace}
    pod = {"apiVersion": "v1", "kind": "Pod", **template, "metadata": metadata}
    words = refused(with_crd, pod)
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "event", "namespace": key.namespace},
        "involvedObject": {
            "kind": "Job",
            "namespace": key.namespace,
            "name": job["metadata"]["name"],
            "uid": job["metadata"]["uid"],
        },
        "reason": "FailedCreate",
        "type": "Warning",
        "message": f"Error creating: {words}",
    }
    run("create", "-f", "-", given=event)
    await reconcile(ports, key)
    live = await cluster.health_ingest(key)
    assert live is not None
    found = {entry["type"]: entry for entry in live["status"]["conditions"]}
    assert found["DatabaseReady"]["reason"] == found["Ready"]["reason"] == reason, found[
        "DatabaseReady"
    ]["message"]
    assert said in found["Ready"]["message"]
    assert SECRET not in json.dumps(live["status"])


async def begin(run: Run, cluster: KubernetesCluster, key: Key) -> Ports:
    """As far as the Job; everything outside the cluster is well."""
    ports = replace(OperatorFakes().ports, cluster=cluster)
    for name, values in USER_SECRETS.items():
        pairs = [f"--from-literal={word}={value}" for word, value in values.items()]
        run("create", "secret", "generic", name, "-n", key.namespace, *pairs)
    # A request without a limit, which a quota on limits refuses.
    body = manifest(migration={"resources": {"requests": {"cpu": "50m"}}})
    body["metadata"] = {"name": key.name, "namespace": key.namespace}
    run("apply", "-f", "-", given=body)
    await reconcile(ports, key)
    return ports


def refused(server: ApiServer, pod: dict[str, Any]) -> str:
    """What the API server says; policies and quotas take a moment until they are known to it."""
    for _ in range(100):
        done = attempt(server, "create", "-f", "-", given=pod)
        if done.returncode and "status unknown for quota" not in done.stderr:
            return done.stderr
        if not done.returncode:
            attempt(server, "delete", "pod", "try", "-n", pod["metadata"]["namespace"], "--now")
    raise AssertionError(done.stderr)
