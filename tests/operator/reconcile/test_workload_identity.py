"""Reconciliation of a HealthIngest without static keys for the bucket."""

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources.secrets import decode
from healthingest_operator.status import identity_causes
from support.operator_fakes import OperatorFakes, manifest

STORE = {"endpoint": "http://s3:7070", "bucket": "clinic-data"}
KEYS = {env.STORE_ACCESS_KEY_ID, env.STORE_SECRET_ACCESS_KEY}
ROLE = {"roleArn": "arn:aws:iam::111122223333:role/clinic"}


def mounted(fakes: OperatorFakes) -> set[str]:
    """The keys of the Secret that the pods mount."""
    return set(decode(fakes.cluster.get("Secret", "clinic-service")))


@pytest.mark.parametrize("more", [{}, {"webIdentity": ROLE}])
async def test_it_is_ready_without_a_secret(more: dict[str, object]) -> None:
    """The operator uses its own identity, and the pods' Secret has no keys of the store."""
    fakes = OperatorFakes(objectStore={**STORE, **more})
    del fakes.cluster.objects["Secret", "clinic-a", "s3"]
    await fakes.until_ready()
    assert not mounted(fakes) & KEYS
    assert [access.has_keys for access in fakes.store.seen] == [False] * len(fakes.store.seen)
    fakes.forget_writes()
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.READY
    assert fakes.all_writes() == []


async def test_the_operator_can_have_keys_of_its_own() -> None:
    """`adminSecretRef` is enough; the operator never acts as the pods do."""
    fakes = OperatorFakes(objectStore={**STORE, "adminSecretRef": {"name": "s3"}})
    await fakes.until_ready()
    assert all(access.has_keys for access in fakes.store.seen)
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert all(access.has_keys for access in fakes.store.seen)
    assert not mounted(fakes) & KEYS


async def test_pods_keep_their_keys_until_the_identity_works() -> None:
    """A HealthIngest that gives up its keys: the Secret loses them when the bucket is ready."""
    fakes = OperatorFakes(objectStore={**STORE, "credentialsSecretRef": {"name": "s3"}})
    await fakes.until_ready()
    assert mounted(fakes) >= KEYS
    fakes.cluster.put(manifest(objectStore={**STORE, "webIdentity": ROLE}))
    fakes.store.fault = DependencyError.of(
        identity_causes.OPERATOR_TOKEN_REFUSED, where="AWS STS", code=" (AccessDenied)"
    )
    for _ in range(3):
        await fakes.reconcile()
        assert mounted(fakes) >= KEYS
    status, reason, message = fakes.conditions()["BucketReady"]
    assert (status, reason) == ("False", Reason.AUTHENTICATION_FAILED)
    assert "AWS STS refuses the token of the operator (AccessDenied)" in message
    assert fakes.conditions()["Ready"][0] == "False"
    fakes.store.fault = None
    await fakes.until_ready()
    assert not mounted(fakes) & KEYS


async def test_keys_can_be_given_again() -> None:
    """The way back."""
    fakes = OperatorFakes(objectStore=STORE)
    await fakes.until_ready()
    fakes.cluster.put(manifest(objectStore={**STORE, "credentialsSecretRef": {"name": "s3"}}))
    await fakes.until_ready()
    assert mounted(fakes) >= KEYS
