"""Object lock of the bucket, in a reconciliation."""

from typing import Any

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources import bucket
from healthingest_operator.resources.bucket import Capability
from healthingest_operator.resources.names import config_map
from support.operator_fakes import KEY, OperatorFakes, manifest

LOCK = {"mode": "Compliance", "days": 7}
RETENTION = {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 7}}


def store(**more: Any) -> dict[str, Any]:  # noqa: ANN401 - a part of a manifest
    """Return `spec.objectStore` with these fields."""
    return {**manifest()["spec"]["objectStore"], **more}


async def test_a_new_bucket_gets_the_lock() -> None:
    """The service gets its values; at rest nothing is written."""
    fakes = OperatorFakes(objectStore=store(objectLock=LOCK))
    await fakes.until_ready()
    found = fakes.store.buckets["clinic-data"].object_lock
    assert found == {"ObjectLockEnabled": "Enabled", "Rule": RETENTION}
    data = fakes.cluster.get("ConfigMap", config_map(KEY))["data"]
    assert data[env.STORE_OBJECT_LOCK_MODE] == "Compliance"
    assert data[env.STORE_OBJECT_LOCK_DAYS] == "7"
    await fakes.reconcile()
    fakes.forget_writes()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.all_writes() == []


async def test_a_changed_retention_heals() -> None:
    """It is named as drift."""
    fakes = OperatorFakes(objectStore=store(objectLock=LOCK))
    await fakes.until_ready()
    live = fakes.store.buckets["clinic-data"]
    lock = bucket.Step(Capability.OBJECT_LOCK, {"ObjectLockEnabled": "Enabled"})
    access = fakes.store.seen[-1]
    assert await fakes.store.carry_out(access, lock)
    await fakes.reconcile()
    assert fakes.store.buckets["clinic-data"] == live
    assert "objectLock of bucket clinic-data" in fakes.conditions()["Drifted"][2]


async def test_a_bucket_without_lock_is_reported() -> None:
    """Its lock is not enabled, because nobody could disable it; a person may do it."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["objectStore"]["objectLock"] = LOCK
    fakes.forget_writes()
    await fakes.reconcile()
    state, reason, message = fakes.conditions()["BucketReady"]
    assert (state, reason) == ("False", Reason.OBJECT_LOCK_MISSING)
    assert "remove spec.objectStore.objectLock" in message
    assert fakes.conditions()["Stalled"][0] == "True"
    assert fakes.store.writes == []
    step = bucket.Step(Capability.OBJECT_LOCK, {"ObjectLockEnabled": "Enabled"})
    assert await fakes.store.carry_out(fakes.store.seen[-1], step)
    await fakes.until_ready()
    found = fakes.store.buckets["clinic-data"].object_lock
    assert found is not None
    assert found["Rule"] == RETENTION


async def test_a_store_without_lock_lacks_a_capability() -> None:
    """The condition names it."""
    fakes = OperatorFakes(objectStore=store(objectLock=LOCK))
    fakes.store.unsupported = frozenset({Capability.OBJECT_LOCK})
    await fakes.reconcile()
    state, reason, message = fakes.conditions()["BucketReady"]
    assert (state, reason) == ("False", Reason.CAPABILITY_MISSING)
    assert "objectLock" in message


async def test_a_lock_that_the_spec_does_not_name_is_a_warning() -> None:
    """Uploads work, and the operator changes nothing; the values are in the message."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    step = bucket.Step(Capability.OBJECT_LOCK, {"ObjectLockEnabled": "Enabled", "Rule": RETENTION})
    assert await fakes.store.carry_out(fakes.store.seen[-1], step)
    await fakes.reconcile()
    state, reason, message = fakes.conditions()["BucketReady"]
    assert (state, reason) == ("True", Reason.OBJECT_LOCK_NOT_IN_SPEC)
    assert "(Compliance, 7 days)" in message
    assert message in "".join(fakes.cluster.warnings)
    assert fakes.conditions()["Ready"][0] == "True"
    found = fakes.store.buckets["clinic-data"].object_lock
    assert found is not None
    assert found["Rule"] == RETENTION
