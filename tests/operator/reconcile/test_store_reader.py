"""The keys by which consumers read the bucket, in a reconciliation."""

import base64
import hashlib
from typing import Any

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources.secrets import READER_KEYS, decode
from support.operator_fakes import KEY, OperatorFakes, manifest
from support.servers.tls import Authority

READER = {"accessKeyId": "reader", "secretAccessKey": "reader-secret"}
PROBE = "probe clinic-data as reader"


def fakes_with(reader: dict[str, str] | None = READER, **more: Any) -> OperatorFakes:  # noqa: ANN401
    """Return the fakes with `readerSecretRef`, and its Secret."""
    store = {**manifest()["spec"]["objectStore"], "readerSecretRef": {"name": "reader"}}
    fakes = OperatorFakes(objectStore=store, **more)
    if reader is not None:
        fakes.cluster.secret("reader", reader)
    return fakes


def consumer(fakes: OperatorFakes) -> dict[str, str]:
    """Return the values of the consumers' Secret."""
    return decode(fakes.cluster.objects.get(("Secret", KEY.namespace, "clinic-consumer")))


async def test_consumers_get_the_keys() -> None:
    """With all that an S3 client needs; they are checked once, and at rest nothing is written."""
    fakes = fakes_with()
    await fakes.until_ready()
    found = consumer(fakes)
    assert {name: found[name] for name in READER_KEYS if name in found} == {
        "s3Endpoint": "http://s3:7070",
        "s3Region": "us-east-1",
        "s3Bucket": "clinic-data",
        "s3AccessKeyId": "reader",
        "s3SecretAccessKey": "reader-secret",
    }
    assert found["username"] == "clinic.consumer"
    assert fakes.conditions()["ReaderReady"][0] == "True"
    assert fakes.store.writes.count(PROBE) == 1
    await fakes.reconcile()
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.READY
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.all_writes() == []


async def test_consumers_get_the_authorities_of_the_store() -> None:
    """In PEM."""
    bundle = Authority().bundle.decode()
    fakes = fakes_with(tls={"caBundle": {"secretKeyRef": {"name": "ca"}}})
    fakes.cluster.secret("ca", {"ca.crt": bundle})
    await fakes.until_ready()
    assert consumer(fakes)["s3CaBundle"] == bundle


async def test_keys_that_can_write_are_not_given() -> None:
    """
    The condition says so, and uploads work.

    An external check notices that the right was taken away.
    """
    fakes = fakes_with()
    fakes.store.writers.add("reader-secret")
    await fakes.until_ready()
    state, reason, message = fakes.conditions()["ReaderReady"]
    assert (state, reason) == ("False", Reason.READER_MAY_WRITE)
    assert "reader-secret" not in message
    assert not {*READER_KEYS} & consumer(fakes).keys()
    assert fakes.conditions()["Ready"][0] == "True"
    await fakes.reconcile()
    fakes.store.writers.clear()
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert consumer(fakes)["s3AccessKeyId"] == "reader"
    assert fakes.conditions()["ReaderReady"][0] == "True"


async def test_keys_that_the_store_refuses_are_not_given() -> None:
    """The previous ones stay; the external check notices the changed Secret."""
    fakes = fakes_with()
    await fakes.until_ready()
    await fakes.reconcile()
    fakes.store.refused.add("wrong")
    fakes.cluster.secret("reader", {**READER, "secretAccessKey": "wrong"})
    fakes.clock.advance(60)  # answers are shared for some seconds
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    state, reason, message = fakes.conditions()["ReaderReady"]
    assert (state, reason) == ("False", Reason.AUTHENTICATION_FAILED)
    assert "spec.objectStore.readerSecretRef" in message
    assert consumer(fakes)["s3SecretAccessKey"] == "reader-secret"
    fakes.store.refused.clear()
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert consumer(fakes)["s3SecretAccessKey"] == "wrong"


async def test_a_reader_that_is_given_up_leaves_the_secret() -> None:
    """Its keys go, and the login at the broker stays."""
    fakes = fakes_with()
    await fakes.until_ready()
    fakes.cluster.get("HealthIngest", KEY.name)["spec"]["objectStore"].pop("readerSecretRef")
    await fakes.until_ready()
    assert not {*READER_KEYS} & consumer(fakes).keys()
    assert consumer(fakes)["username"] == "clinic.consumer"
    assert "ReaderReady" not in fakes.conditions()


async def test_a_missing_secret_is_named() -> None:
    """As any other Secret of the spec."""
    fakes = fakes_with(None)
    await fakes.reconcile()
    assert fakes.conditions()["ReaderReady"][1] == Reason.SECRET_NOT_FOUND
    assert fakes.conditions()["SecretsReady"][1] == Reason.SECRET_NOT_FOUND


async def test_nothing_is_written_into_a_bucket_of_others() -> None:
    """The keys are not checked there."""
    fakes = fakes_with()
    fakes.store.full = True
    await fakes.until_ready()
    fakes.store.writes.clear()
    fresh = fakes_with()
    fresh.store = fakes.store
    fresh.cluster.get("HealthIngest", KEY.name)["metadata"]["name"] = KEY.name
    live = fakes.store.buckets["clinic-data"]
    fakes.store.buckets["clinic-data"] = type(live)(tags={"cost": "7"})
    await fresh.reconcile()
    assert fresh.conditions()["BucketReady"][0] == "False"
    assert fresh.conditions()["ReaderReady"][1] == Reason.WAITING_FOR_DEPENDENCIES
    assert PROBE not in fakes.store.writes


async def test_a_prepared_virtual_host_has_consumers_too() -> None:
    """Their Secret then has the keys of the bucket, and no login at the broker."""
    broker = {"userSecretRef": {"name": "relay"}, "virtualHost": "clinic"}
    fakes = fakes_with(broker=broker)
    secret = {"amqpUrl": "amqp://rabbitmq:5672", "username": "team", "password": "team-secret"}
    fakes.cluster.secret("relay", secret)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    fakes.broker.things["vhosts", "clinic"] = {"tags": [], "description": ""}
    hashed = base64.b64encode(b"salt" + _sha256(b"saltteam-secret")).decode()
    fakes.broker.things["users", "team"] = {"password_hash": hashed}
    fakes.broker.things["permissions", "clinic", "team"] = everything
    await fakes.until_ready()
    assert set(consumer(fakes)) == {*READER_KEYS} - {"s3CaBundle"}
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    assert status["secrets"]["consumer"] == "clinic-consumer"
    await fakes.reconcile()
    fakes.forget_writes()
    await fakes.reconcile()
    assert fakes.all_writes() == []


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()
