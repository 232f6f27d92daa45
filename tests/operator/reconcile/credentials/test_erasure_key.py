"""The erasure key in a reconciliation: created once, kept, and never replaced silently."""

import base64
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources.bucket import ERASURE_KEY_TAG, OWNER_TAG
from healthingest_operator.resources.erasure_key import ENTRY, fingerprint_of
from healthingest_operator.resources.secrets import decode
from support.operator_fakes import KEY, OperatorFakes, erasure_key, manifest

FIRST = erasure_key(0)
SECOND = erasure_key(1)
OWN = "clinic-erasure-key"
SERVICE = "clinic-service"
ANNOTATION = "healthingest.dev/confirm-new-erasure-key"


def key_of(fakes: OperatorFakes) -> str | None:
    """Return the key in its own Secret."""
    return decode(fakes.cluster.objects.get(("Secret", KEY.namespace, OWN))).get(ENTRY)


def copy_of(fakes: OperatorFakes) -> str | None:
    """Return the key in the Secret that pods mount."""
    return decode(fakes.cluster.get("Secret", SERVICE)).get(env.IDENTITY_ERASURE_KEY)


def lose(fakes: OperatorFakes, *names: str) -> None:
    """Delete these Secrets."""
    for name in names:
        fakes.cluster.objects.pop(("Secret", KEY.namespace, name))


def status(fakes: OperatorFakes) -> dict[str, Any]:
    """Return the status."""
    found: dict[str, Any] = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    return found


async def made(**spec: object) -> OperatorFakes:
    """Return a HealthIngest that is Ready and at rest, and has erased data."""
    fakes = OperatorFakes(**spec)
    fakes.store.erasures = True
    await fakes.until_ready()
    await fakes.reconcile()
    return fakes


async def test_one_key_is_created() -> None:
    """Its own Secret and that of the pods have it; status and bucket have its fingerprint."""
    fakes = await made()
    assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)
    assert status(fakes)["erasureKeyFingerprint"] == fingerprint_of(FIRST)
    assert status(fakes)["secrets"]["erasureKey"] == OWN
    assert fakes.store.buckets["clinic-data"].tags[ERASURE_KEY_TAG] == fingerprint_of(FIRST)
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.READY
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.all_writes() == []


async def test_api_and_janitor_mount_it() -> None:
    """The relay and the migration do not."""
    fakes = await made()
    having = set()
    for name in ("clinic-api", "clinic-relay"):
        pod = fakes.cluster.get("Deployment", name)["spec"]["template"]["spec"]
        for volume in pod["volumes"]:
            items = volume.get("secret", {}).get("items", ())
            if env.IDENTITY_ERASURE_KEY in {item["path"] for item in items}:
                having.add(volume["name"])
    assert having == {"secrets-api", "secrets-janitor"}


async def test_a_rotation_keeps_the_key() -> None:
    """Passwords and signing keys change, and the key does not, until the rotation has ended."""
    fakes = await made()
    before = decode(fakes.cluster.get("Secret", SERVICE))
    fakes.cluster.get("HealthIngest", KEY.name)["metadata"]["annotations"] = {
        "healthingest.dev/rotate": "now"
    }
    for _ in range(12):
        await fakes.reconcile()
        fakes.cluster.settle()
        fakes.clock.advance(3600)
        assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)
    after = decode(fakes.cluster.get("Secret", SERVICE))
    for name in (env.DATABASE_URL, env.BROKER_URL, env.IDENTITY_SIGNING_KEYS):
        assert after[name] != before[name]


@pytest.mark.parametrize("lost", [OWN, SERVICE])
@pytest.mark.parametrize("mode", list(ReconcileMode))
async def test_a_lost_secret_gets_the_key_of_the_other(lost: str, mode: ReconcileMode) -> None:
    """Each has a copy; the loss is named as drift, also by an external check."""
    fakes = await made()
    lose(fakes, lost)
    await fakes.reconcile(mode)
    assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)
    assert lost in fakes.conditions()["Drifted"][2]


async def test_a_changed_key_is_corrected() -> None:
    """The copy has the known fingerprint, so it is right."""
    fakes = await made()
    fakes.cluster.get("Secret", OWN)["data"][ENTRY] = base64.b64encode(SECOND.encode()).decode()
    await fakes.reconcile()
    assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)
    assert "clinic-erasure-key was missing or changed" in fakes.conditions()["Drifted"][2]


async def test_a_lost_key_is_not_replaced() -> None:
    """Without any copy no key is made; the exported one makes it Ready again."""
    fakes = await made()
    lose(fakes, OWN, SERVICE)
    await fakes.reconcile()
    state, reason, message = fakes.conditions()["SecretsReady"]
    assert (state, reason) == ("False", Reason.ERASURE_KEY_MISSING)
    assert fingerprint_of(FIRST) in message
    assert FIRST not in message
    assert fakes.conditions()["Stalled"][0] == "True"
    assert (key_of(fakes), copy_of(fakes)) == (None, None)
    fakes.cluster.secret(OWN, {ENTRY: FIRST})
    await fakes.until_ready()
    assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)


async def test_a_lost_key_is_replaced_if_nothing_was_erased() -> None:
    """As after a namespace was deleted and created again; with an unclear store it is not."""
    fakes = await made()
    fakes.store.erasures = False
    lose(fakes, OWN, SERVICE)
    fakes.store.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][1] == Reason.ERASURE_KEY_MISSING
    fakes.store.fault = None
    await fakes.until_ready()
    assert (key_of(fakes), copy_of(fakes)) == (SECOND, SECOND)
    assert status(fakes)["erasureKeyFingerprint"] == fingerprint_of(SECOND)
    assert fakes.store.buckets["clinic-data"].tags[ERASURE_KEY_TAG] == fingerprint_of(SECOND)


async def test_a_wrong_key_reaches_no_pod() -> None:
    """Both Secrets with another key: the pods' one loses it, and the condition says why."""
    fakes = await made()
    lose(fakes, OWN, SERVICE)
    fakes.cluster.secret(OWN, {ENTRY: SECOND})
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][1] == Reason.ERASURE_KEY_CHANGED
    assert (key_of(fakes), copy_of(fakes)) == (SECOND, None)


async def test_a_new_key_can_be_confirmed() -> None:
    """By the fingerprint of the lost key, so that the annotation confirms no later loss."""
    fakes = await made()
    lose(fakes, OWN, SERVICE)
    live = fakes.cluster.get("HealthIngest", KEY.name)
    live["metadata"]["annotations"] = {ANNOTATION: fingerprint_of(FIRST)}
    await fakes.until_ready()
    assert (key_of(fakes), copy_of(fakes)) == (SECOND, SECOND)
    assert status(fakes)["erasureKeyFingerprint"] == fingerprint_of(SECOND)
    assert fakes.store.buckets["clinic-data"].tags[ERASURE_KEY_TAG] == fingerprint_of(SECOND)
    lose(fakes, OWN, SERVICE)
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][1] == Reason.ERASURE_KEY_MISSING


async def test_a_deletion_keeps_the_key() -> None:
    """A HealthIngest of the same name uses it again."""
    fakes = await made()
    body = fakes.cluster.get("HealthIngest", KEY.name)
    body["metadata"]["deletionTimestamp"] = fakes.clock.now().isoformat()
    await finalize(fakes.ports, body, timedelta(minutes=5))
    assert key_of(fakes) == FIRST
    owned = [at for at, found in fakes.cluster.objects.items() if "ownerReferences" in str(found)]
    for place in owned:  # as the garbage collector does
        fakes.cluster.objects.pop(place)
    again = manifest()
    again["metadata"]["uid"] = "uid-2"
    fakes.cluster.put(again)
    await fakes.until_ready()
    assert (key_of(fakes), copy_of(fakes)) == (FIRST, FIRST)


async def test_a_bucket_with_a_mark_needs_its_key() -> None:
    """A HealthIngest in a new cluster, without status and Secrets, makes no second key."""
    fakes = await made()
    fresh = OperatorFakes()
    fresh.store, fresh.database = fakes.store, fakes.database
    await fresh.reconcile()
    assert fresh.conditions()["SecretsReady"][1] == Reason.ERASURE_KEY_MISSING
    assert key_of(fresh) is None
    fresh.cluster.secret(OWN, {ENTRY: FIRST})
    await fresh.until_ready()
    assert copy_of(fresh) == FIRST


async def test_no_key_is_made_before_the_bucket_was_read() -> None:
    """An unreachable store may have the mark of an earlier key."""
    fakes = OperatorFakes()
    fakes.store.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    await fakes.reconcile()
    assert (key_of(fakes), copy_of(fakes)) == (None, None)
    assert fakes.conditions()["SecretsReady"][0] == "True"
    fakes.store.fault = None
    await fakes.until_ready()
    assert key_of(fakes) == FIRST


async def test_the_mark_of_another_owner_does_not_count() -> None:
    """Its bucket is refused, and that is the only message."""
    fakes = await made()
    found = fakes.store.buckets["clinic-data"]
    tags = {**found.tags, OWNER_TAG: "clinic-b/clinic"}
    fresh = OperatorFakes()
    fresh.store.buckets["clinic-data"] = replace(found, tags=tags)
    fresh.cluster.put(
        {**manifest(), "metadata": {**manifest()["metadata"], "namespace": "clinic-b"}}
    )
    await fresh.reconcile()
    assert fresh.conditions()["SecretsReady"][0] == "True"
    assert fresh.conditions()["BucketReady"][1] == Reason.RESOURCE_CONFLICT


async def test_a_secret_of_others_is_not_overwritten() -> None:
    """One of this name without a key is a conflict."""
    fakes = OperatorFakes()
    fakes.cluster.secret(OWN, {"password": "of-others"})
    await fakes.reconcile()
    assert fakes.conditions()["SecretsReady"][1] == Reason.RESOURCE_CONFLICT
    assert decode(fakes.cluster.get("Secret", OWN)) == {"password": "of-others"}
