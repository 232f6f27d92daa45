"""One pass over one HealthIngest, in a world of fakes."""

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.reconcile import Look, Outcome
from healthingest_operator.resources import bucket, topology
from support.operator_world import KEY, FakeWorld, manifest

UNREACHABLE = DependencyError(Reason.UNREACHABLE, "no answer")


async def test_a_manifest_becomes_a_working_service() -> None:
    """Bucket, topology, database, migration, pods: then Ready, and every part True."""
    world = FakeWorld()
    await world.until_ready()
    parts = {name: status for name, (status, _, _) in world.conditions().items()}
    assert parts.pop("Drifted") == "False"
    assert set(parts.values()) == {"True"}
    assert "Reconciling" not in parts
    assert world.cluster.names("Deployment") == ["clinic-api", "clinic-relay"]
    assert world.cluster.names("Secret") == [
        "clinic-consumer",
        "clinic-service",
        "postgres",
        "rabbitmq",
        "s3",
    ]


async def test_at_rest_nothing_is_written() -> None:
    """A pass that finds everything in place writes nothing anywhere."""
    world = FakeWorld()
    await world.until_ready()
    await world.converge()
    world.forget_writes()
    assert await world.converge() is Outcome.READY
    assert world.all_writes() == []


async def test_a_glance_sees_what_no_watch_tells() -> None:
    """
    It spares the children and writes nothing.

    Whatever changed outside it goes on to heal and to name.
    """
    world = FakeWorld()
    await world.until_ready()
    await world.converge()
    world.forget_writes()
    world.cluster.lists = 0
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    assert world.all_writes() == []
    assert world.cluster.lists == 0
    world.broker.things.pop(("queues", "clinic", "processing"))
    world.store.buckets["clinic-data"] = bucket.Observed()
    await world.converge(Look.GLANCE)
    status, _, message = world.conditions()["Drifted"]
    assert status == "True"
    for part in (
        "queue processing",
        "versioning of bucket clinic-data",
        "tagging of bucket clinic-data",
    ):
        assert part in message
    await world.converge(Look.GLANCE)
    assert world.conditions()["Drifted"][0] == "False"


@pytest.mark.parametrize("part", ["store", "broker", "database"])
async def test_a_glance_tells_of_an_outage(part: str) -> None:
    """As a complete pass does."""
    world = FakeWorld()
    await world.until_ready()
    await world.converge()
    getattr(world, part).fault = UNREACHABLE
    world.clock.advance(15)  # that the database's server answered is shared for a while
    assert await world.converge(Look.GLANCE) is Outcome.FAILING
    assert world.conditions()["Ready"][0] == "False"


def take_out(world: FakeWorld, queue: str) -> None:
    """Name another queue in the spec instead."""
    live = world.cluster.get("HealthIngest", KEY.name)
    live["spec"]["broker"]["queues"] = [{"name": f"not-{queue}"}]
    live["metadata"]["generation"] += 1


async def test_what_the_spec_no_longer_names_goes() -> None:
    """
    Bindings first, then the empty queue, then its dead-letter queue.

    The queue of somebody else stays.
    """
    world = FakeWorld()
    world.broker.things["queues", "clinic", "foreign"] = {"type": "classic", "messages": 0}
    world.broker.bindings.add(("health_data_exchange", "foreign", "#"))
    await world.until_ready()
    take_out(world, "processing")
    await world.converge()
    assert ("queues", "clinic", "processing") in world.broker.things
    assert not [
        entry
        for entry in world.broker.bindings
        if entry[:2] == ("health_data_exchange", "processing")
    ]
    await world.until_ready()
    for _ in range(4):
        await world.converge()
    left = sorted(path[2] for path in world.broker.things if path[0] == "queues")
    assert left == ["foreign", "not-processing", "not-processing.dead"]
    assert ("health_data_exchange", "foreign", "#") in world.broker.bindings
    assert not [
        path for path in world.broker.things if path[0] == "policies" and "not-" not in path[2]
    ]
    world.forget_writes()
    await world.converge()
    assert world.all_writes() == []


async def test_a_queue_with_messages_stays_and_is_named() -> None:
    """
    Taken out of the spec it gets no more of them, and it goes once it is empty.

    Meanwhile all is Ready.
    """
    world = FakeWorld()
    await world.until_ready()
    take_out(world, "processing")
    world.broker.things["queues", "clinic", "processing"]["messages"] = 3
    await world.until_ready()
    for _ in range(3):
        await world.converge()
    status = world.cluster.get("HealthIngest", KEY.name)["status"]
    (left,) = status["leftBehind"]
    assert "queue processing" in left
    assert world.conditions()["Ready"][0] == "True"
    world.broker.things["queues", "clinic", "processing"]["messages"] = 0
    for _ in range(5):
        await world.converge(Look.GLANCE)
    assert "leftBehind" not in world.cluster.get("HealthIngest", KEY.name)["status"]
    assert ("queues", "clinic", "processing") not in world.broker.things


async def test_a_binding_that_somebody_added_goes() -> None:
    """Between our exchange and our queue the spec is the whole truth."""
    world = FakeWorld()
    await world.until_ready()
    world.broker.bindings.add(("health_data_exchange", "processing", "other.#"))
    await world.converge()
    assert ("health_data_exchange", "processing", "other.#") not in world.broker.bindings
    assert "binding of queue processing" in world.conditions()["Drifted"][2]


async def test_a_change_of_the_spec_is_no_drift() -> None:
    """What the operator does because it was told to, it does not call healed."""
    world = FakeWorld()
    await world.until_ready()
    take_out(world, "processing")
    await world.converge()
    assert world.conditions()["Drifted"][0] == "False"


async def test_pods_wait_for_dependencies_and_migration() -> None:
    """No Deployment before every dependency holds and the migration has succeeded."""
    world = FakeWorld()
    world.broker.fault = UNREACHABLE
    assert await world.converge() is Outcome.FAILING
    assert world.cluster.names("Deployment") == world.cluster.names("Job") == []
    world.broker.fault = None
    assert await world.converge() is Outcome.PROGRESSING
    assert world.conditions()["DatabaseReady"][:2] == ("False", "MigrationRunning")
    assert world.cluster.names("Deployment") == []
    world.cluster.settle()
    await world.converge()
    assert world.cluster.names("Deployment") == ["clinic-api", "clinic-relay"]


@pytest.mark.parametrize("part", ["store", "broker", "database"])
@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.AUTHENTICATION_FAILED])
async def test_an_outage_shows_and_takes_no_pod_away(part: str, reason: Reason) -> None:
    """
    Once rolled out, a dependency that fails degrades conditions.

    The workload stays, and all heals by itself.
    """
    world = FakeWorld()
    await world.until_ready()
    world.forget_writes()
    getattr(world, part).fault = DependencyError(reason, "it fails")
    assert await world.converge() is Outcome.FAILING
    assert world.conditions()["Ready"][1] == reason
    assert world.cluster.writes == ["status"]
    getattr(world, part).fault = None
    await world.until_ready()


async def test_in_an_outage_a_lost_deployment_comes_back() -> None:
    """What passed the gate before passes it again."""
    world = FakeWorld()
    await world.until_ready()
    world.broker.fault = UNREACHABLE
    world.cluster.objects.pop(("Deployment", KEY.namespace, "clinic-api"))
    await world.converge()
    assert "clinic-api" in world.cluster.names("Deployment")


async def test_in_an_outage_a_new_version_waits() -> None:
    """A change of the pods is held back until the dependencies hold."""
    world = FakeWorld()
    await world.until_ready()
    world.broker.fault = UNREACHABLE
    world.cluster.get("HealthIngest", KEY.name)["spec"]["image"] = "service:2"
    await world.converge()
    template = world.cluster.get("Deployment", "clinic-api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "service:1"
    assert world.conditions()["WorkloadAvailable"][1] == "WaitingForDependencies"
    world.broker.fault = None
    await world.until_ready()
    template = world.cluster.get("Deployment", "clinic-api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "service:2"


async def test_drift_is_healed_and_named() -> None:
    """
    A changed field and a removed object are put right.

    The condition says which, and falls back by itself.
    """
    world = FakeWorld()
    await world.until_ready()
    world.cluster.get("ConfigMap", "clinic-config")["data"][env.LIMITS_UPLOADS] = "1/second"
    world.cluster.objects.pop(("Service", KEY.namespace, "clinic"))
    world.broker.things.pop(("queues", "clinic", "processing"))
    await world.converge()
    status, reason, message = world.conditions()["Drifted"]
    assert (status, reason) == ("True", "DriftHealed")
    for part in (
        f"ConfigMap clinic-config: data.{env.LIMITS_UPLOADS}",
        "Service clinic",
        "queue processing",
    ):
        assert part in message
    assert (
        world.cluster.get("ConfigMap", "clinic-config")["data"][env.LIMITS_UPLOADS] == "10/minute"
    )
    await world.converge()
    assert world.conditions()["Drifted"][0] == "False"


async def test_additions_of_others_stay() -> None:
    """A label, an annotation or a key that somebody added is none of our business."""
    world = FakeWorld()
    await world.until_ready()
    world.cluster.get("Deployment", "clinic-api")["metadata"]["labels"]["team"] = "a"
    world.forget_writes()
    await world.converge()
    assert world.cluster.writes == []


async def test_a_foreign_object_is_not_taken_over() -> None:
    """A foreign Service of the same name stays as it is, and the condition says so."""
    world = FakeWorld()
    world.cluster.put(
        {"kind": "Service", "metadata": {"namespace": KEY.namespace, "name": "clinic"}, "spec": {}}
    )
    await world.converge()
    assert world.conditions()["WorkloadAvailable"][1] == "ResourceConflict"
    assert world.cluster.get("Service", "clinic")["spec"] == {}


async def test_a_bucket_of_another_owner_is_not_touched() -> None:
    """The first HealthIngest keeps it."""
    world = FakeWorld()
    world.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: "other/clinic"})
    await world.converge()
    assert world.conditions()["BucketReady"][1] == "ResourceConflict"
    assert world.store.writes == []


@pytest.mark.parametrize(
    ("created", "wins"), [("2025-01-01T00:00:00Z", False), ("2027-01-01T00:00:00Z", True)]
)
async def test_the_oldest_owns_what_two_name(created: str, wins: bool) -> None:  # noqa: FBT001 - a case of the table
    """Whoever came first to mark it; an owner that cannot be seen keeps it."""
    world = FakeWorld()
    world.cluster.get("HealthIngest", KEY.name)["metadata"]["creationTimestamp"] = (
        "2026-01-01T00:00:00Z"
    )
    other = manifest()
    other["metadata"] |= {"name": "other", "uid": "uid-2", "creationTimestamp": created}
    world.cluster.put(other)
    mark = f"{KEY.namespace}/other"
    world.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: mark})
    world.broker.things["vhosts", "clinic"] = {"tags": ["team-a", f"{topology.OWNER_TAG}{mark}"]}
    await world.converge()
    expected = str(KEY) if wins else mark
    assert world.store.buckets["clinic-data"].owner == expected
    assert world.broker.things["vhosts", "clinic"]["tags"] == [
        "team-a",
        f"{topology.OWNER_TAG}{expected}",
    ]
    for part in ("BucketReady", "TopologyReady"):
        assert world.conditions()[part][1] == ("Provisioned" if wins else "ResourceConflict")


async def test_a_differing_queue_is_a_conflict() -> None:
    """A classic queue is neither deleted nor used."""
    world = FakeWorld()
    world.broker.things["vhosts", "clinic"] = {"tags": []}
    world.broker.things["queues", "clinic", "processing"] = {
        "type": "classic",
        "durable": True,
        "arguments": {},
    }
    await world.converge()
    assert world.conditions()["TopologyReady"][1] == "TopologyConflict"
    assert world.broker.writes == []


async def test_what_a_store_lacks_is_listed() -> None:
    """`IfSupported` goes on without it and tells the service; `Required` stops."""
    world = FakeWorld()
    world.store.unsupported = frozenset({bucket.Capability.ENCRYPTION})
    await world.until_ready()
    status = world.cluster.get("HealthIngest", KEY.name)["status"]
    assert status["objectStore"]["missingCapabilities"] == ["encryption"]
    assert world.cluster.get("ConfigMap", "clinic-config")["data"][env.STORE_ENCRYPTION] == "None"
    store = world.cluster.get("HealthIngest", KEY.name)["spec"]["objectStore"]
    store["encryption"] = {"mode": "SSE-S3", "policy": "Required"}
    await world.converge()
    assert world.conditions()["BucketReady"][1] == "CapabilityMissing"


async def test_a_store_without_checksums_is_never_accepted() -> None:
    """Integrity rests on them."""
    world = FakeWorld()
    world.store.unsupported = frozenset({bucket.Capability.CHECKSUMS})
    await world.converge()
    assert world.conditions()["BucketReady"][1] == "CapabilityMissing"
    await world.converge()
    assert world.conditions()["BucketReady"][1] == "CapabilityMissing"


async def test_a_failed_migration_is_run_again() -> None:
    """It shows, waits a minute, and succeeds once its cause is mended."""
    world = FakeWorld()
    world.cluster.migration_fails = True
    await world.converge()
    world.cluster.settle()
    await world.converge()
    assert world.conditions()["DatabaseReady"][1] == "MigrationFailed"
    world.cluster.migration_fails = False
    world.clock.advance(61)
    await world.until_ready()


async def test_the_readiness_gate_opens_with_the_dependencies() -> None:
    """API pods get their gate once, and it is not opened while dependencies never held."""
    world = FakeWorld()
    labels = {"app.kubernetes.io/instance": "clinic", "app.kubernetes.io/component": "api"}
    metadata = {"namespace": KEY.namespace, "name": "clinic-api-1", "labels": labels}
    world.cluster.put({"kind": "Pod", "metadata": metadata})
    world.broker.fault = UNREACHABLE
    await world.converge()
    assert "status" not in world.cluster.get("Pod", "clinic-api-1")
    world.broker.fault = None
    await world.until_ready()
    assert world.cluster.writes.count("open gate of clinic-api-1") == 1


async def test_autoscaling_owns_the_replicas() -> None:
    """
    The number is handed over first, then no longer written.

    Without autoscaling the autoscaler goes.
    """
    world = FakeWorld(replicas=4)
    await world.until_ready()
    live = world.cluster.get("Deployment", "clinic-api")
    live["metadata"]["managedFields"] = [
        {"manager": "healthingest-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    world.cluster.get("HealthIngest", KEY.name)["spec"]["autoscaling"] = {"maxReplicas": 6}
    await world.converge()
    assert "hand over 4" in world.cluster.writes
    assert world.cluster.names("HorizontalPodAutoscaler") == ["clinic-api"]
    world.cluster.get("HealthIngest", KEY.name)["spec"].pop("autoscaling")
    await world.converge()
    assert world.cluster.names("HorizontalPodAutoscaler") == []


async def test_paused_nothing_is_changed() -> None:
    """Not even what somebody else broke."""
    world = FakeWorld()
    await world.until_ready()
    world.cluster.get("HealthIngest", KEY.name)["spec"]["paused"] = True
    world.cluster.objects.pop(("Service", KEY.namespace, "clinic"))
    world.forget_writes()
    assert await world.converge() is Outcome.PAUSED
    assert world.cluster.writes == ["status"]
    assert world.conditions()["Paused"][0] == world.conditions()["Ready"][0] == "True"


async def test_paused_nothing_is_said_of_the_new_spec() -> None:
    """What was found before keeps the generation that it was found for."""
    world = FakeWorld()
    await world.until_ready()
    live = world.cluster.get("HealthIngest", KEY.name)
    live["spec"] |= {"paused": True, "image": "service:2"}
    live["metadata"]["generation"] = 2
    await world.converge()
    found = {entry["type"]: entry["observedGeneration"] for entry in live["status"]["conditions"]}
    assert live["status"]["observedGeneration"] == found["Paused"] == 2
    assert found["Ready"] == found["WorkloadAvailable"] == 1


async def test_an_invalid_spec_is_stalled_and_changes_nothing() -> None:
    """What ran before still runs."""
    world = FakeWorld()
    await world.until_ready()
    world.cluster.get("HealthIngest", KEY.name)["spec"]["limits"] = {"uploads": "many"}
    world.forget_writes()
    assert await world.converge() is Outcome.INVALID
    assert world.cluster.writes == ["status"]
    assert world.conditions()["Stalled"][:2] == ("True", "InvalidSpec")
    assert "limits.uploads" in world.conditions()["Stalled"][2]


async def test_the_gone_are_let_go() -> None:
    """A HealthIngest that is gone or going is not looked at."""
    world = FakeWorld()
    world.cluster.get("HealthIngest", KEY.name)["metadata"]["deletionTimestamp"] = (
        "2026-01-01T00:00:00Z"
    )
    assert await world.converge() is Outcome.GONE
    world.cluster.objects.clear()
    assert await world.converge() is Outcome.GONE


async def test_a_limit_that_stops_the_relay_is_no_ready() -> None:
    """
    The operator logs in as the relay.

    The user and its rights are there, and nothing could be announced.
    """
    world = FakeWorld()
    await world.until_ready()
    assert "clinic.relay" in world.broker.log_ins
    await world.converge()
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    count = len(world.broker.log_ins)
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    assert len(world.broker.log_ins) == count, "a glance compares limits and opens no connection"
    world.broker.full.add("clinic")
    await world.converge(Look.GLANCE)
    assert world.conditions()["BrokerReady"][:2] == ("False", "LimitReached")
    assert world.conditions()["Ready"][:2] == ("False", "LimitReached")
    assert world.conditions()["TopologyReady"][0] == "True"
    world.broker.full.clear()
    await world.until_ready()


async def test_no_replicas_are_no_ready() -> None:
    """Nothing accepts an upload, however well everything is."""
    world = FakeWorld(replicas=0)
    for _ in range(4):
        await world.converge()
        world.cluster.settle()
    assert world.conditions()["Ready"][:2] == ("False", "ScaledToZero")
    assert "spec.replicas" in world.conditions()["Ready"][2]
    live = world.cluster.get("HealthIngest", KEY.name)
    live["spec"]["replicas"] = 1
    live["metadata"]["generation"] += 1
    await world.until_ready()


async def test_a_relay_that_announces_nothing_is_no_ready() -> None:
    """Its readiness says so: the pod runs, and the broker has confirmed nothing for a while."""
    world = FakeWorld()
    await world.until_ready()
    relay = world.cluster.get("Deployment", "clinic-relay")
    relay["status"]["availableReplicas"] = 0
    container = {"name": "relay", "state": {"running": {}}, "started": True, "ready": False}
    labels = {
        **relay["spec"]["template"]["metadata"]["labels"],
        "app.kubernetes.io/instance": "clinic",
    }
    metadata = {"namespace": KEY.namespace, "name": "clinic-relay-1", "labels": labels}
    world.cluster.put(
        {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [container]}}
    )
    await world.converge()
    assert world.conditions()["Ready"][:2] == ("False", "AnnouncementsStalled")
    assert "clinic-relay-1" in world.conditions()["Ready"][2]


async def test_the_cache_has_a_condition_that_nothing_waits_for() -> None:
    """
    Uploads do not need it; without one there is no condition.

    A glance sees when it comes and goes.
    """
    world = FakeWorld()
    await world.until_ready()
    assert "CacheReady" not in world.conditions()
    world = FakeWorld(cache={"secretRef": {"name": "redis"}})
    world.cluster.secret("redis", {"url": "rediss://:hush-hush@redis:6379/0"})
    world.cache.fault = UNREACHABLE
    await world.until_ready()
    assert world.conditions()["CacheReady"][:2] == ("False", "Unreachable")
    assert world.conditions()["Ready"][0] == "True"
    await world.converge()
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    world.cache.fault = None
    assert await world.converge(Look.GLANCE) is not Outcome.UNCHANGED
    status, _, message = world.conditions()["CacheReady"]
    assert (status, message) == ("True", "cache redis:6379")
    world.cache.fault = UNREACHABLE
    assert await world.converge(Look.GLANCE) is not Outcome.UNCHANGED
    assert world.conditions()["CacheReady"][0] == "False"
