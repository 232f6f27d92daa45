"""One reconciliation of one HealthIngest, with fakes."""

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources import bucket, topology
from support.operator_fakes import KEY, OperatorFakes, manifest

UNREACHABLE = DependencyError(Reason.UNREACHABLE, "no answer")


async def test_a_manifest_becomes_a_working_service() -> None:
    """Bucket, topology, database, migration, pods: then Ready, and every part True."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    parts = {name: status for name, (status, _, _) in fakes.conditions().items()}
    assert parts.pop("Drifted") == "False"
    assert set(parts.values()) == {"True"}
    assert "Reconciling" not in parts
    assert fakes.cluster.names("Deployment") == ["clinic-api", "clinic-relay"]
    assert fakes.cluster.names("Secret") == [
        "clinic-consumer",
        "clinic-erasure-key",
        "clinic-service",
        "postgres",
        "rabbitmq",
        "s3",
    ]


async def test_at_rest_nothing_is_written() -> None:
    """A reconciliation that finds everything in place writes nothing anywhere."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    await fakes.reconcile()
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.READY
    assert fakes.all_writes() == []


async def test_an_external_check_sees_what_no_watch_reports() -> None:
    """
    It spares the children and writes nothing.

    Whatever changed outside it goes on to heal and to name.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    await fakes.reconcile()
    fakes.forget_writes()
    fakes.cluster.lists = 0
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.all_writes() == []
    assert fakes.cluster.lists == 0
    fakes.broker.things.pop(("queues", "clinic", "processing"))
    fakes.store.buckets["clinic-data"] = bucket.Observed()
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    status, _, message = fakes.conditions()["Drifted"]
    assert status == "True"
    for part in (
        "queue processing",
        "versioning of bucket clinic-data",
        "tagging of bucket clinic-data",
    ):
        assert part in message
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert fakes.conditions()["Drifted"][0] == "False"


@pytest.mark.parametrize("part", ["store", "broker", "database"])
async def test_an_external_check_reports_an_outage(part: str) -> None:
    """As a full reconciliation does."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    await fakes.reconcile()
    getattr(fakes, part).fault = UNREACHABLE
    fakes.clock.advance(15)  # that the database's server answered is shared for a while
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.FAILING
    assert fakes.conditions()["Ready"][0] == "False"


def take_out(fakes: OperatorFakes, queue: str) -> None:
    """Name another queue in the spec instead."""
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"]["broker"]["queues"] = [{"name": f"not-{queue}"}]
    live["metadata"]["generation"] += 1


async def test_what_the_spec_no_longer_names_goes() -> None:
    """
    Bindings first, then the empty queue, then its dead-letter queue.

    The queue of somebody else stays.
    """
    fakes = OperatorFakes()
    fakes.broker.things["queues", "clinic", "foreign"] = {"type": "classic", "messages": 0}
    fakes.broker.bindings.add(("health_data_exchange", "foreign", "#"))
    await fakes.until_ready()
    take_out(fakes, "processing")
    await fakes.reconcile()
    assert ("queues", "clinic", "processing") in fakes.broker.things
    assert not [
        entry
        for entry in fakes.broker.bindings
        if entry[:2] == ("health_data_exchange", "processing")
    ]
    await fakes.until_ready()
    for _ in range(4):
        await fakes.reconcile()
    left = sorted(path[2] for path in fakes.broker.things if path[0] == "queues")
    assert left == ["foreign", "not-processing", "not-processing.dead"]
    assert ("health_data_exchange", "foreign", "#") in fakes.broker.bindings
    assert not [
        path for path in fakes.broker.things if path[0] == "policies" and "not-" not in path[2]
    ]
    fakes.forget_writes()
    await fakes.reconcile()
    assert fakes.all_writes() == []


async def test_a_queue_with_messages_stays_and_is_named() -> None:
    """
    Taken out of the spec it gets no more of them, and it goes once it is empty.

    Meanwhile all is Ready.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    take_out(fakes, "processing")
    fakes.broker.things["queues", "clinic", "processing"]["messages"] = 3
    await fakes.until_ready()
    for _ in range(3):
        await fakes.reconcile()
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    (left,) = status["leftBehind"]
    assert "queue processing" in left
    assert fakes.conditions()["Ready"][0] == "True"
    fakes.broker.things["queues", "clinic", "processing"]["messages"] = 0
    for _ in range(5):
        await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert "leftBehind" not in fakes.cluster.get("HealthIngest", KEY.name)["status"]
    assert ("queues", "clinic", "processing") not in fakes.broker.things


async def test_a_binding_that_somebody_added_goes() -> None:
    """Between our exchange and our queue the spec is the whole truth."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.broker.bindings.add(("health_data_exchange", "processing", "other.#"))
    await fakes.reconcile()
    assert ("health_data_exchange", "processing", "other.#") not in fakes.broker.bindings
    assert "binding of queue processing" in fakes.conditions()["Drifted"][2]


async def test_a_change_of_the_spec_is_no_drift() -> None:
    """What the operator does because it was told to, it does not call healed."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    take_out(fakes, "processing")
    await fakes.reconcile()
    assert fakes.conditions()["Drifted"][0] == "False"


async def test_pods_wait_for_dependencies_and_migration() -> None:
    """No Deployment before every dependency holds and the migration has succeeded."""
    fakes = OperatorFakes()
    fakes.broker.fault = UNREACHABLE
    assert await fakes.reconcile() is Outcome.FAILING
    assert fakes.cluster.names("Deployment") == fakes.cluster.names("Job") == []
    fakes.broker.fault = None
    assert await fakes.reconcile() is Outcome.PROGRESSING
    assert fakes.conditions()["DatabaseReady"][:2] == ("False", "MigrationRunning")
    assert fakes.cluster.names("Deployment") == []
    fakes.cluster.settle()
    await fakes.reconcile()
    assert fakes.cluster.names("Deployment") == ["clinic-api", "clinic-relay"]


@pytest.mark.parametrize("part", ["store", "broker", "database"])
@pytest.mark.parametrize("reason", [Reason.UNREACHABLE, Reason.AUTHENTICATION_FAILED])
async def test_an_outage_shows_and_takes_no_pod_away(part: str, reason: Reason) -> None:
    """
    Once rolled out, a dependency that fails degrades conditions.

    The workload stays, and all heals by itself.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.forget_writes()
    getattr(fakes, part).fault = DependencyError(reason, "it fails")
    assert await fakes.reconcile() is Outcome.FAILING
    assert fakes.conditions()["Ready"][1] == reason
    assert fakes.cluster.writes == ["status"]
    getattr(fakes, part).fault = None
    await fakes.until_ready()


async def test_in_an_outage_a_lost_deployment_comes_back() -> None:
    """What passed the gate before passes it again."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.broker.fault = UNREACHABLE
    fakes.cluster.objects.pop(("Deployment", KEY.namespace, "clinic-api"))
    await fakes.reconcile()
    assert "clinic-api" in fakes.cluster.names("Deployment")


async def test_in_an_outage_a_new_version_waits() -> None:
    """A change of the pods is held back until the dependencies hold."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.broker.fault = UNREACHABLE
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["image"] = "service:2"
    await fakes.reconcile()
    template = fakes.cluster.get("Deployment", "clinic-api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "service:1"
    assert fakes.conditions()["WorkloadAvailable"][1] == "WaitingForDependencies"
    fakes.broker.fault = None
    await fakes.until_ready()
    template = fakes.cluster.get("Deployment", "clinic-api")["spec"]["template"]
    assert template["spec"]["containers"][0]["image"] == "service:2"


async def test_drift_is_healed_and_named() -> None:
    """
    A changed field and a removed object are put right.

    The condition says which, and falls back by itself.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.get("ConfigMap", "clinic-config")["data"][env.LIMITS_UPLOADS] = "1/second"
    fakes.cluster.objects.pop(("Service", KEY.namespace, "clinic"))
    fakes.broker.things.pop(("queues", "clinic", "processing"))
    await fakes.reconcile()
    status, reason, message = fakes.conditions()["Drifted"]
    assert (status, reason) == ("True", "DriftHealed")
    for part in (
        f"ConfigMap clinic-config: data.{env.LIMITS_UPLOADS}",
        "Service clinic",
        "queue processing",
    ):
        assert part in message
    assert (
        fakes.cluster.get("ConfigMap", "clinic-config")["data"][env.LIMITS_UPLOADS] == "10/minute"
    )
    await fakes.reconcile()
    assert fakes.conditions()["Drifted"][0] == "False"


async def test_additions_of_others_stay() -> None:
    """A label, an annotation or a key that somebody added is none of our business."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.get("Deployment", "clinic-api")["metadata"]["labels"]["team"] = "a"
    fakes.forget_writes()
    await fakes.reconcile()
    assert fakes.cluster.writes == []


async def test_a_foreign_object_is_not_taken_over() -> None:
    """A foreign Service of the same name stays as it is, and the condition says so."""
    fakes = OperatorFakes()
    fakes.cluster.put(
        {"kind": "Service", "metadata": {"namespace": KEY.namespace, "name": "clinic"}, "spec": {}}
    )
    await fakes.reconcile()
    assert fakes.conditions()["WorkloadAvailable"][1] == "ResourceConflict"
    assert fakes.cluster.get("Service", "clinic")["spec"] == {}


async def test_a_bucket_of_another_owner_is_not_touched() -> None:
    """The first HealthIngest keeps it."""
    fakes = OperatorFakes()
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: "other/clinic"})
    await fakes.reconcile()
    assert fakes.conditions()["BucketReady"][1] == "ResourceConflict"
    assert fakes.store.writes == []


@pytest.mark.parametrize(
    ("created", "wins"), [("2025-01-01T00:00:00Z", False), ("2027-01-01T00:00:00Z", True)]
)
# FBT001: a case of the table
async def test_the_oldest_owns_what_two_name(created: str, wins: bool) -> None:  # noqa: FBT001
    """Whoever came first to mark it; an owner that cannot be seen keeps it."""
    fakes = OperatorFakes()
    fakes.cluster.get("HealthIngest", KEY.name)["metadata"]["creationTimestamp"] = (
        "2026-01-01T00:00:00Z"
    )
    other = manifest()
    other["metadata"] |= {"name": "other", "uid": "uid-2", "creationTimestamp": created}
    fakes.cluster.put(other)
    mark = f"{KEY.namespace}/other"
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: mark})
    fakes.broker.things["vhosts", "clinic"] = {"tags": ["team-a", f"{topology.OWNER_TAG}{mark}"]}
    await fakes.reconcile()
    expected = str(KEY) if wins else mark
    assert fakes.store.buckets["clinic-data"].owner == expected
    assert fakes.broker.things["vhosts", "clinic"]["tags"] == [
        "team-a",
        f"{topology.OWNER_TAG}{expected}",
    ]
    for part in ("BucketReady", "TopologyReady"):
        assert fakes.conditions()[part][1] == ("Provisioned" if wins else "ResourceConflict")


async def test_a_differing_queue_is_a_conflict() -> None:
    """A classic queue is neither deleted nor used."""
    fakes = OperatorFakes()
    fakes.broker.things["vhosts", "clinic"] = {"tags": []}
    fakes.broker.things["queues", "clinic", "processing"] = {
        "type": "classic",
        "durable": True,
        "arguments": {},
    }
    await fakes.reconcile()
    assert fakes.conditions()["TopologyReady"][1] == "TopologyConflict"
    assert fakes.broker.writes == []


async def test_what_a_store_lacks_is_listed() -> None:
    """`IfSupported` goes on without it and tells the service; `Required` stops."""
    fakes = OperatorFakes()
    fakes.store.unsupported = frozenset({bucket.Capability.ENCRYPTION})
    await fakes.until_ready()
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    assert status["objectStore"]["missingCapabilities"] == ["encryption"]
    assert fakes.cluster.get("ConfigMap", "clinic-config")["data"][env.STORE_ENCRYPTION] == "None"
    store = fakes.cluster.get("HealthIngest", KEY.name)["spec"]["objectStore"]
    store["encryption"] = {"mode": "SSE-S3", "policy": "Required"}
    await fakes.reconcile()
    assert fakes.conditions()["BucketReady"][1] == "CapabilityMissing"


async def test_a_store_without_checksums_is_never_accepted() -> None:
    """Integrity rests on them."""
    fakes = OperatorFakes()
    fakes.store.unsupported = frozenset({bucket.Capability.CHECKSUMS})
    await fakes.reconcile()
    assert fakes.conditions()["BucketReady"][1] == "CapabilityMissing"
    await fakes.reconcile()
    assert fakes.conditions()["BucketReady"][1] == "CapabilityMissing"


async def test_a_failed_migration_is_run_again() -> None:
    """It shows, waits a minute, and succeeds once its cause is mended."""
    fakes = OperatorFakes()
    fakes.cluster.migration_fails = True
    await fakes.reconcile()
    fakes.cluster.settle()
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][1] == "MigrationFailed"
    fakes.cluster.migration_fails = False
    fakes.clock.advance(61)
    await fakes.until_ready()


async def test_the_readiness_gate_opens_with_the_dependencies() -> None:
    """API pods get their gate once, and it is not opened while dependencies never held."""
    fakes = OperatorFakes()
    labels = {"app.kubernetes.io/instance": "clinic", "app.kubernetes.io/component": "api"}
    metadata = {"namespace": KEY.namespace, "name": "clinic-api-1", "labels": labels}
    fakes.cluster.put({"kind": "Pod", "metadata": metadata})
    fakes.broker.fault = UNREACHABLE
    await fakes.reconcile()
    assert "status" not in fakes.cluster.get("Pod", "clinic-api-1")
    fakes.broker.fault = None
    await fakes.until_ready()
    assert fakes.cluster.writes.count("open gate of clinic-api-1") == 1


async def test_autoscaling_owns_the_replicas() -> None:
    """
    The number is handed over first, then no longer written.

    Without autoscaling the autoscaler goes.
    """
    fakes = OperatorFakes(replicas=4)
    await fakes.until_ready()
    live = fakes.cluster.get("Deployment", "clinic-api")
    live["metadata"]["managedFields"] = [
        {"manager": "healthingest-operator", "fieldsV1": {"f:spec": {"f:replicas": {}}}},
    ]
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["autoscaling"] = {"maxReplicas": 6}
    await fakes.reconcile()
    assert "hand over 4" in fakes.cluster.writes
    assert fakes.cluster.names("HorizontalPodAutoscaler") == ["clinic-api"]
    fakes.cluster.get("HealthIngest", KEY.name)["spec"].pop("autoscaling")
    await fakes.reconcile()
    assert fakes.cluster.names("HorizontalPodAutoscaler") == []


async def test_paused_nothing_is_changed() -> None:
    """Not even what somebody else broke."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["paused"] = True
    fakes.cluster.objects.pop(("Service", KEY.namespace, "clinic"))
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.PAUSED
    assert fakes.cluster.writes == ["status"]
    assert fakes.conditions()["Paused"][0] == fakes.conditions()["Ready"][0] == "True"


async def test_paused_nothing_is_said_of_the_new_spec() -> None:
    """What was found before keeps the generation that it was found for."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"] |= {"paused": True, "image": "service:2"}
    live["metadata"]["generation"] = 2
    await fakes.reconcile()
    found = {entry["type"]: entry["observedGeneration"] for entry in live["status"]["conditions"]}
    assert live["status"]["observedGeneration"] == found["Paused"] == 2
    assert found["Ready"] == found["WorkloadAvailable"] == 1


async def test_an_invalid_spec_is_stalled_and_changes_nothing() -> None:
    """What ran before still runs."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["limits"] = {"uploads": "many"}
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.INVALID
    assert fakes.cluster.writes == ["status"]
    assert fakes.conditions()["Stalled"][:2] == ("True", "InvalidSpec")
    assert "limits.uploads" in fakes.conditions()["Stalled"][2]


async def test_the_gone_are_let_go() -> None:
    """A HealthIngest that is gone or going is not looked at."""
    fakes = OperatorFakes()
    fakes.cluster.get("HealthIngest", KEY.name)["metadata"]["deletionTimestamp"] = (
        "2026-01-01T00:00:00Z"
    )
    assert await fakes.reconcile() is Outcome.GONE
    fakes.cluster.objects.clear()
    assert await fakes.reconcile() is Outcome.GONE


async def test_a_limit_that_stops_the_relay_is_no_ready() -> None:
    """
    The operator logs in as the relay.

    The user and its rights are there, and nothing could be announced.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    assert "clinic.relay" in fakes.broker.log_ins
    await fakes.reconcile()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    count = len(fakes.broker.log_ins)
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert len(fakes.broker.log_ins) == count, (
        "an external check compares limits and opens no connection"
    )
    fakes.broker.full.add("clinic")
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert fakes.conditions()["BrokerReady"][:2] == ("False", "LimitReached")
    assert fakes.conditions()["Ready"][:2] == ("False", "LimitReached")
    assert fakes.conditions()["TopologyReady"][0] == "True"
    fakes.broker.full.clear()
    await fakes.until_ready()


async def test_no_replicas_are_no_ready() -> None:
    """Nothing accepts an upload, however well everything is."""
    fakes = OperatorFakes(replicas=0)
    for _ in range(4):
        await fakes.reconcile()
        fakes.cluster.settle()
    assert fakes.conditions()["Ready"][:2] == ("False", "ScaledToZero")
    assert "spec.replicas" in fakes.conditions()["Ready"][2]
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["spec"]["replicas"] = 1
    live["metadata"]["generation"] += 1
    await fakes.until_ready()


async def test_a_relay_that_announces_nothing_is_no_ready() -> None:
    """Its readiness says so: the pod runs, and the broker has confirmed nothing for a while."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    relay = fakes.cluster.get("Deployment", "clinic-relay")
    relay["status"]["availableReplicas"] = 0
    container = {"name": "relay", "state": {"running": {}}, "started": True, "ready": False}
    labels = {
        **relay["spec"]["template"]["metadata"]["labels"],
        "app.kubernetes.io/instance": "clinic",
    }
    metadata = {"namespace": KEY.namespace, "name": "clinic-relay-1", "labels": labels}
    fakes.cluster.put(
        {"kind": "Pod", "metadata": metadata, "status": {"containerStatuses": [container]}}
    )
    await fakes.reconcile()
    assert fakes.conditions()["Ready"][:2] == ("False", "AnnouncementsStalled")
    assert "clinic-relay-1" in fakes.conditions()["Ready"][2]


async def test_the_cache_has_a_condition_that_nothing_waits_for() -> None:
    """
    Uploads do not need it; without one there is no condition.

    An external check sees when it comes and goes.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    assert "CacheReady" not in fakes.conditions()
    fakes = OperatorFakes(cache={"secretRef": {"name": "redis"}})
    fakes.cluster.secret("redis", {"url": "rediss://:hush-hush@redis:6379/0"})
    fakes.cache.fault = UNREACHABLE
    await fakes.until_ready()
    assert fakes.conditions()["CacheReady"][:2] == ("False", "Unreachable")
    assert fakes.conditions()["Ready"][0] == "True"
    await fakes.reconcile()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    fakes.cache.fault = None
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is not Outcome.UNCHANGED
    status, _, message = fakes.conditions()["CacheReady"]
    assert (status, message) == ("True", "cache redis:6379")
    fakes.cache.fault = UNREACHABLE
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is not Outcome.UNCHANGED
    assert fakes.conditions()["CacheReady"][0] == "False"
