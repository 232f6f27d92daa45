"""Pods that cannot start, as conditions tell of them, and what stays of a migration that failed."""

from typing import Any

import pytest

from healthingest_operator.reconcile.loop import PROGRESS_SECONDS
from healthingest_operator.reconcile.reconcile import Outcome
from healthingest_operator.resources.migration import KEPT_FAILURES
from support.operator_world import KEY, FakeWorld

QUOTA = (
    'Error creating: pods "p" is forbidden: exceeded quota: small, requested: pods=1,'
    " used: pods=0, limited: pods=0"
)


@pytest.fixture(name="world")
async def _world() -> FakeWorld:
    """The migration's Job is there, and has not ended."""
    world = FakeWorld()
    world.cluster.jobs_end = False
    await world.converge()
    return world


def the_job(world: FakeWorld) -> dict[str, Any]:
    """The newest one."""
    jobs = world.cluster.names("Job")
    return world.cluster.get("Job", max(jobs, key=lambda name: (len(name), name)))


def add_pod(
    world: FakeWorld, owner: dict[str, Any], component: str, status: dict[str, Any]
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
    world.cluster.put({"kind": "Pod", "metadata": metadata, "status": status})


def ended(code: int) -> dict[str, Any]:
    """A pod that has ended so."""
    return {
        "phase": "Failed",
        "containerStatuses": [{"name": "migrate", "state": {"terminated": {"exitCode": code}}}],
    }


def fail(job: dict[str, Any], at: str) -> None:
    """As the Job controller says it."""
    job["status"] = {"conditions": [{"type": "Failed", "status": "True", "lastTransitionTime": at}]}


async def test_a_refused_pod_of_the_migration_is_explained(world: FakeWorld) -> None:
    """
    By the event about the Job.

    The next pass sees it, and the one after a pass comes within ten seconds.
    """
    assert world.conditions()["DatabaseReady"][1] == "MigrationRunning"
    world.cluster.recorded.append(
        (the_job(world)["metadata"]["uid"], {"reason": "FailedCreate", "message": QUOTA})
    )
    assert await world.converge() is Outcome.FAILING
    status, reason, message = world.conditions()["DatabaseReady"]
    assert (status, reason) == ("False", "QuotaExceeded")
    assert "ResourceQuota small" in message
    assert world.conditions()["Ready"][1] == "QuotaExceeded"
    assert world.conditions()["Stalled"][0] == "True"
    assert max(PROGRESS_SECONDS) < 10


async def test_events_are_asked_for_only_while_there_is_no_pod(world: FakeWorld) -> None:
    """A pod says more, and comes with the list of children."""
    asked = world.cluster.event_lists
    state = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}
    add_pod(
        world,
        the_job(world),
        "migrate",
        {"containerStatuses": [{"name": "m", "image": "i:1", "state": state}]},
    )
    await world.converge()
    assert world.conditions()["DatabaseReady"][1] == "ImagePullFailed"
    assert world.cluster.event_lists == asked


async def test_a_failed_attempt_shows_before_the_job_gives_up(world: FakeWorld) -> None:
    """A Job tries four times: the first exit tells enough."""
    add_pod(world, the_job(world), "migrate", ended(1))
    await world.converge()
    _, reason, message = world.conditions()["DatabaseReady"]
    assert reason == "MigrationFailed"
    assert "exit code 1" in message


async def test_failed_jobs_stay_until_one_succeeds(world: FakeWorld) -> None:
    """
    A minute after a failure another attempt follows.

    Of those that failed the last few stay, then none.
    """
    for attempt in range(1, KEPT_FAILURES + 3):
        add_pod(world, the_job(world), "migrate", ended(attempt))
        fail(the_job(world), world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ"))
        await world.converge()
        assert f"exit code {attempt}" in world.conditions()["DatabaseReady"][2]
        world.clock.advance(61)
        await world.converge()
        assert "status" not in the_job(world)
        assert f"exit code {attempt}" in world.conditions()["DatabaseReady"][2], (
            "what failed is told until more is known"
        )
        await world.converge()
        assert len(world.cluster.names("Job")) <= KEPT_FAILURES + 1
    assert the_job(world)["metadata"]["name"].endswith(f"-{KEPT_FAILURES + 3}")
    world.cluster.jobs_end = True
    world.cluster.settle()
    await world.until_ready()
    assert world.cluster.names("Job") == [the_job(world)["metadata"]["name"]]
    await world.converge()
    world.forget_writes()
    await world.converge()
    assert world.all_writes() == []


async def test_a_superseded_migration_does_not_go_on(world: FakeWorld) -> None:
    """It would hold room of the quota, or pull an image that nobody wants any more."""
    old = the_job(world)["metadata"]["name"]
    live = world.cluster.get("HealthIngest", KEY.name)
    live["spec"]["image"] = "service:2"
    live["metadata"]["generation"] += 1
    await world.converge()
    assert old not in world.cluster.names("Job")
    assert len(world.cluster.names("Job")) == 1


@pytest.mark.parametrize("component", ["api", "relay"])
async def test_a_pod_of_the_workload_is_explained(component: str) -> None:
    """The kubelet's reason stands in the condition, instead of how many pods are available."""
    world = FakeWorld()
    world.cluster.pods_start = False
    for _ in range(3):
        await world.converge()
        world.cluster.settle()
    deployment = world.cluster.get("Deployment", f"clinic-{component}")
    state = {"waiting": {"reason": "CrashLoopBackOff"}}
    last = {"terminated": {"exitCode": 2, "message": '{"event": "unknown_settings"}'}}
    statuses = [{"name": component, "state": state, "lastState": last}]
    add_pod(world, deployment, component, {"containerStatuses": statuses})
    if component == "relay":
        world.cluster.pods_start = True
        world.cluster.settle()
        deployment["status"]["availableReplicas"] = 0
    await world.converge()
    _, reason, message = world.conditions()["WorkloadAvailable"]
    assert reason == "CrashLooping"
    assert f"Deployment clinic-{component}" in message
    assert "unknown_settings" in message


async def test_a_refused_pod_of_the_workload_is_explained() -> None:
    """The Deployment repeats what its ReplicaSet was told."""
    world = FakeWorld()
    await world.until_ready()
    condition = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": QUOTA,
    }
    deployment = world.cluster.get("Deployment", "clinic-api")
    deployment["status"] = {
        "conditions": [condition],
        "observedGeneration": deployment["metadata"]["generation"],
    }
    await world.converge()
    assert world.conditions()["WorkloadAvailable"][1] == "QuotaExceeded"
    assert world.cluster.event_lists == 1
