"""Pods of a HealthIngest in namespaces with the admission rules of platforms."""

import json
from collections.abc import Callable
from functools import partial
from typing import Any
from uuid import uuid4

import pytest

from healthingest_operator.api.healthingest import parse
from support.control_plane import attempt, kubectl, pod_policy
from support.operator_fakes import manifest
from support.rendered import objects
from support.servers.apiserver import ApiServer

Run = Callable[..., str]
ID_RANGE = "[1000650000, 1000659999]"
"""As OpenShift assigns it to a namespace: first and last id."""
_OUTSIDE = "!has(object.spec.securityContext.{0}) || (object.spec.securityContext.{0} >= 1000650000"
RESTRICTED_V2 = pod_policy(
    "like-restricted-v2",
    *(
        {
            "expression": f"{_OUTSIDE.format(name)} && object.spec.securityContext.{name}"
            " <= 1000659999)",
            "message": f"{name} must be in the ranges: {ID_RANGE}",
        }
        for name in ("runAsUser", "fsGroup")
    ),
)
"""MustRunAsRange for user and group of volumes, as in the constraint restricted-v2."""
SMALL = {"requests": {"cpu": "50m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "256Mi"}}


@pytest.fixture(name="run")
def _run(with_crd: ApiServer) -> Run:
    """Run kubectl as the administrator."""
    return partial(kubectl, with_crd)


@pytest.fixture(name="space")
def _space(run: Run) -> str:
    """Return a namespace that enforces PodSecurity `restricted`."""
    name = f"admission-{uuid4().hex[:8]}"
    run("create", "namespace", name)
    run("label", "namespace", name, "pod-security.kubernetes.io/enforce=restricted")
    return name


def pods(space: str, **spec: object) -> list[dict[str, Any]]:
    """Return a pod of each template: API, relay with janitor, migration."""
    owner = parse(manifest(**spec))
    templates = [
        (child["metadata"]["name"], child["spec"]["template"])
        for child in objects(owner)
        if child["kind"] in {"Deployment", "Job"}
    ]
    return [
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {**template["metadata"], "name": name, "namespace": space},
            "spec": template["spec"],
        }
        for name, template in templates
    ]


def refusals(server: ApiServer, created: list[dict[str, Any]]) -> list[str]:
    """
    Create the pods, and return what the API server says about each one that it refuses.

    A new quota or policy takes a moment until the API server knows it.
    """
    found = []
    for pod in created:
        for _ in range(100):
            done = attempt(server, "create", "-f", "-", given=pod)
            if "status unknown for quota" not in done.stderr:
                break
        if done.returncode:
            found.append(done.stderr)
    return found


def set_quota(run: Run, space: str, hard: dict[str, str]) -> None:
    """Create a ResourceQuota with the status that the quota controller would write."""
    quota = {
        "apiVersion": "v1",
        "kind": "ResourceQuota",
        "metadata": {"name": "quota", "namespace": space},
        "spec": {"hard": hard},
    }
    run("create", "-f", "-", given=quota)
    status = json.dumps({"status": {"hard": hard, "used": dict.fromkeys(hard, "0")}})
    patch = ["patch", "resourcequota", "quota", "-n", space, "--subresource=status"]
    run(*patch, "--type=merge", "-p", status)


def test_a_quota_on_cpu_and_memory_lets_the_defaults_run(
    run: Run, with_crd: ApiServer, space: str
) -> None:
    """Every container has requests and limits of both; without them a quota refuses its pod."""
    hard = {"requests.cpu": "1", "requests.memory": "1Gi", "limits.cpu": "8"}
    set_quota(run, space, {**hard, "limits.memory": "2Gi"})
    created = pods(space)
    assert refusals(with_crd, created) == []
    del created[0]["spec"]["containers"][0]["resources"]["limits"]["cpu"]
    created[0]["metadata"]["name"] = "without-limit"
    (refusal,) = refusals(with_crd, created[:1])
    assert "must specify limits.cpu" in refusal


def test_a_limit_range_of_256_mib_lets_small_containers_run(
    run: Run, with_crd: ApiServer, space: str
) -> None:
    """Only the API's default is larger, and `spec.resources` makes it smaller."""
    limits = [{"type": "Container", "max": {"memory": "256Mi"}}]
    metadata = {"name": "small", "namespace": space}
    head = {"apiVersion": "v1", "kind": "LimitRange", "metadata": metadata}
    run("create", "-f", "-", given={**head, "spec": {"limits": limits}})
    (refusal,) = refusals(with_crd, pods(space))
    assert "clinic-api" in refusal
    assert "maximum memory usage per Container is 256Mi" in refusal
    (api, *_) = pods(space, resources=SMALL)
    assert refusals(with_crd, [api]) == []


def test_a_policy_like_restricted_v2_accepts_pods_without_ids(
    run: Run, with_crd: ApiServer, space: str
) -> None:
    """Fixed ids are refused; none, or ids of the namespace's range, are accepted."""
    name = f"like-restricted-v2-{space}"
    run("create", "-f", "-", given={**RESTRICTED_V2, "metadata": {"name": name}})
    labels = {"kubernetes.io/metadata.name": space}
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": name},
        "spec": {
            "policyName": name,
            "validationActions": ["Deny"],
            "matchResources": {"namespaceSelector": {"matchLabels": labels}},
        },
    }
    run("create", "-f", "-", given=binding)
    assert len(until_refused(with_crd, pods(space))) == 3
    assert refusals(with_crd, pods(space, podSecurityContext={})) == []
    own = {"runAsUser": 1000650007, "fsGroup": 1000650007}
    api, *_ = pods(space, podSecurityContext=own)
    api["metadata"]["name"] = "in-the-range"
    assert refusals(with_crd, [api]) == []


def until_refused(server: ApiServer, created: list[dict[str, Any]]) -> list[str]:
    """Return the refusals of *created*; a new policy takes a moment to be in effect."""
    for _ in range(100):
        found = refusals(server, created)
        if len(found) == len(created) and all("must be in the ranges" in one for one in found):
            break
        for pod in created:
            metadata = pod["metadata"]
            place = ["-n", metadata["namespace"], "--now", "--ignore-not-found"]
            attempt(server, "delete", "pod", metadata["name"], *place)
    return found
