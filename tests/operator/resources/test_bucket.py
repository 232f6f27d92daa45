"""The steps that complete a bucket: lifecycle rules and object lock."""

from typing import Any

import pytest

from healthingest_operator.api.v1alpha1 import (
    ObjectLockSpec,
    ObjectStoreSpec,
    Requirement,
    StoreSecretRef,
)
from healthingest_operator.resources import bucket
from healthingest_operator.resources.bucket import Capability, Observed, plan

FOREIGN = {"ID": "theirs", "Status": "Enabled", "Expiration": {"Days": 9}}
"""A rule of somebody else."""
LOCK = ObjectLockSpec(mode="Governance", days=40)


def spec(**more: Any) -> ObjectStoreSpec:  # noqa: ANN401 - any field
    """Return a bucket with these properties."""
    return ObjectStoreSpec(bucket="data", credentials_secret_ref=StoreSecretRef(name="s3"), **more)


def value_of(wanted: ObjectStoreSpec, observed: Observed, capability: Capability) -> Any:  # noqa: ANN401
    """Return the value of the step for *capability*; None: there is no step."""
    steps = {step.capability: step.value for step in plan(wanted, "a/b", observed)}
    return steps.get(capability)


def rules(wanted: ObjectStoreSpec, *live: dict[str, Any]) -> Any:  # noqa: ANN401 - as S3 has them
    """Return the lifecycle rules to write, by id; None: nothing to write."""
    found = value_of(wanted, Observed(lifecycle=live), Capability.LIFECYCLE)
    return None if found is None else {rule["ID"]: rule for rule in found}


def test_versions_and_parts_that_nobody_needs_are_deleted() -> None:
    """After 30 days and after one day, beside the rules of others; then nothing is to do."""
    made = rules(spec(), FOREIGN)
    assert made[bucket.UPLOADS_RULE]["AbortIncompleteMultipartUpload"]["DaysAfterInitiation"] == 1
    assert made[bucket.VERSIONS_RULE]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    assert made["theirs"] == FOREIGN
    assert rules(spec(), *made.values()) is None


@pytest.mark.parametrize(
    "change",
    [
        {"NoncurrentVersionExpiration": {"NoncurrentDays": 29}},
        {"Status": "Disabled"},
    ],
)
def test_a_changed_rule_is_set_again(change: dict[str, Any]) -> None:
    """Its period, or that it is disabled."""
    made = rules(spec())
    made[bucket.VERSIONS_RULE] |= change
    assert rules(spec(), FOREIGN, *made.values()) == {**rules(spec()), "theirs": FOREIGN}


def test_a_rule_that_is_no_longer_wanted_goes_alone() -> None:
    """With 0, or without versioning; the rules of others stay."""
    made = rules(spec(), FOREIGN).values()
    for wanted in (spec(noncurrent_version_days=0), spec(versioning=Requirement.DISABLED)):
        assert set(rules(wanted, *made)) == {bucket.UPLOADS_RULE, "theirs"}
    none = spec(noncurrent_version_days=0, abort_incomplete_uploads_after_days=0)
    assert set(rules(none, *made)) == {"theirs"}
    assert rules(none, FOREIGN) is None


def test_a_lock_prolongs_the_default() -> None:
    """An explicit value stays as it is."""
    assert spec(object_lock=LOCK).noncurrent_days == 40
    assert spec(object_lock=LOCK, noncurrent_version_days=50).noncurrent_days == 50
    assert spec(object_lock=ObjectLockSpec(mode="Compliance", days=3)).noncurrent_days == 30


@pytest.mark.parametrize(
    "live",
    [
        {"ObjectLockEnabled": "Enabled"},
        {"ObjectLockEnabled": "Enabled", "Rule": {}},
        {"Rule": {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 39}}},
        {"Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 40}}},
    ],
)
def test_the_retention_follows_the_spec(live: dict[str, Any]) -> None:
    """Whatever it was; an equal one is left alone."""
    made = value_of(spec(object_lock=LOCK), Observed(object_lock=live), Capability.OBJECT_LOCK)
    assert made["Rule"]["DefaultRetention"] == {"Mode": "GOVERNANCE", "Days": 40}
    again = Observed(object_lock=made)
    assert value_of(spec(object_lock=LOCK), again, Capability.OBJECT_LOCK) is None
    assert value_of(spec(), Observed(object_lock=live), Capability.OBJECT_LOCK) is None


def test_a_lock_needs_versions() -> None:
    """A store without one of both lacks a required capability."""
    assert bucket.required(spec(object_lock=LOCK)) >= {
        Capability.OBJECT_LOCK,
        Capability.VERSIONING,
    }
    assert Capability.OBJECT_LOCK not in bucket.required(spec())
