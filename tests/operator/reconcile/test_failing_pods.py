"""Pods that cannot start, as conditions tell of them, and what stays of a migration that failed."""

from typing import Any

import pytest

from healthingest_operator.reconcile.loop import PROGRESS_SECONDS
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.resources.migration import KEPT_FAILURES
from support.operator_fakes import KEY, OperatorFakes

QUOTA = (
    'Error creating: pods "p" is forbidden: exceeded quota: small, requested: pods=1,'
    " used: pods=0, limited: pods=0"
)


@pytest.fixture(name="fakes")
async def _world() -> OperatorFakes:
    """The migration's Job is there, and has not ended."""
    fakes = OperatorFakes()
    fakes.cluster.jobs_end = False
    await fakes.reconcile()
    return fakes


def the_job(fakes: OperatorFakes) -> dict[str, Any]:
    """The newest one."""
    jobs = fakes.cluster.names("Job")
    return fakes.cluster.get("Job", max(jobs, key=lambda name: (len(name), name)))


def add_pod(
    fakes: OperatorFakes, owner: dict[str, Any], component: str, status: dict[str, Any]
) -> None:
    """A pod of *owner*."""
    labels = {
        "app.kubernetes.io/name": "healthingest",
        "app.kubernetes.io/instance": KEY.name,
        "app.kubernetes.io/component": component,
    }
    metadata = {
        "namespace": KEY.namespace,
        "name": f"{owner['metadata']['name']}-x",
        "labels": labels,
        "ownerReferences": [
            {"uid": owner["metadata"]["uid"], "kind": owner["kind"], "name": "owner"}
        ],
    }
    fakes.cluster.put({"kind": "Pod", "metadata": metadata, "status": status})


def ended(code: int) -> dict[str, Any]:
    """A pod that has ended so."""
    return {
        "phase": "Failed",
        "containerStatuses": [{"name": "migrate", "state": {"terminated": {"exitCode": code}}}],
    }


def fail(job: dict[str, Any], at: str) -> None:
    """As the Job controller says it."""
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": at}]}


async def test_a_refused_pod_of_the_migration_is_explained(fakes: OperatorFakes) -> None:
    """
    By the event about the Job.

    The next reconciliation sees it, and comes within ten seconds.
    """
    assert fakes.conditions()["DatabaseReady"][1] == "MigrationRunning"
    fakes.cluster.recorded.append(
        (the_job(fakes)["metadata"]["uid"], {"reason": "FailedCreate", "message": QUOTA})
    )
    assert await fakes.reconcile() is Outcome.FAILING
    status, reason, message = fakes.conditions()["DatabaseReady"]
    assert (status, reason) == ("False", "QuotaExceeded")
    assert "ResourceQuota small" in message
    assert fakes.conditions()["Ready"][1] == "QuotaExceeded"
    assert fakes.conditions()["Stalled"][0] == "True"
    assert max(PROGRESS_SECONDS) < 10


async def test_events_are_asked_for_only_while_there_is_no_pod(fakes: OperatorFakes) -> None:
    """A pod says more, and comes with the list of children."""
    asked = fakes.cluster.event_lists
    state = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    add_pod(
        fakes,
        the_job(fakes),
        "migrate",
        {"containerStatuses": [{"name": "m", "image": "i:1", "state": state}]},
    )
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][1] == "ImagePullFailed"
    assert fakes.cluster.event_lists == asked


async def test_a_failed_attempt_shows_before_the_job_gives_up(fakes: OperatorFakes) -> None:
    """A Job tries four times: the first exit tells enough."""
    add_pod(fakes, the_job(fakes), "migrate", ended(1))
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["DatabaseReady"]
    assert reason == "MigrationFailed"
    assert "exit code 1" in message


async def test_failed_jobs_stay_until_one_succeeds(fakes: OperatorFakes) -> None:
    """
    A minute after a failure another attempt follows.

    Of those that failed the last few stay, then none.
    """
    for attempt in range(1, KEPT_FAILURES + 3):
        add_pod(fakes, the_job(fakes), "migrate", ended(attempt))
        fail(the_job(fakes), fakes.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        await fakes.reconcile()
        assert f"exit code {attempt}" in fakes.conditions()["DatabaseReady"][2]
        fakes.clock.advance(61)
        await fakes.reconcile()
        assert "status" not in the_job(fakes)
        assert f"exit code {attempt}" in fakes.conditions()["DatabaseReady"][2], (
            "what failed is told until more is known"
        )
        await fakes.reconcile()
        assert len(fakes.cluster.names("Job")) <= KEPT_FAILURES + 1
    assert the_job(fakes)["metadata"]["name"].endswith(f"-{KEPT_FAILURES + 3}")
    fakes.cluster.jobs_end = True
    fakes.cluster.settle()
    await fakes.until_ready()
    assert fakes.cluster.names("Job") == [the_job(fakes)["metadata"]["name"]]
    await fakes.reconcile()
    fakes.forget_writes()
    await fakes.reconcile()
    assert fakes.all_writes() == []


async def test_a_superseded_migration_does_not_go_on(fakes: OperatorFakes) -> None:
    """It would hold room of the quota, or pull an image that nobody wants any more."""
    old = the_job(fakes)["metadata"]["name"]
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"]["image"] = "service:2"
    live["metadata"]["generation"] += 1
    await fakes.reconcile()
    assert old not in fakes.cluster.names("Job")
    assert len(fakes.cluster.names("Job")) == 1


@pytest.mark.parametrize("component", ["api", "relay"])
async def test_a_pod_of_the_workload_is_explained(component: str) -> None:
    """The kubelet's reason stands in the condition, instead of how many pods are available."""
    fakes = OperatorFakes()
    fakes.cluster.pods_start = False
    for _ in range(3):
        await fakes.reconcile()
        fakes.cluster.settle()
    deployment = fakes.cluster.get("Deployment", f"clinic-{component}")
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 2, "message": '{"event": "unknown_settings"}'}}
    statuses = [{"name": component, "state": state, "lastState": last}]
    add_pod(fakes, deployment, component, {"containerStatuses": statuses})
    if component == "relay":
        fakes.cluster.pods_start = True
        fakes.cluster.settle()
        deployment["status"]["availableReplicas"] = 0
    await fakes.reconcile()
    _, reason, message = fakes.conditions()["WorkloadAvailable"]
    assert reason == "CrashLooping"
    assert f"Deployment clinic-{component}" in message
    assert "unknown_settings" in message


async def test_a_refused_pod_of_the_workload_is_explained() -> None:
    """The Deployment repeats what its ReplicaSet was told."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": QUOTA,
    }
    deployment = fakes.cluster.get("Deployment", "clinic-api")
    deployment["status"] = {
        "conditions": [condition],
        "observedGeneration": deployment["metadata"]["generation"],
    }
    await fakes.reconcile()
    assert fakes.conditions()["WorkloadAvailable"][1] == "QuotaExceeded"
    assert fakes.cluster.event_lists == 1
