"""The end of a HealthIngest."""

from datetime import timedelta

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.resources import bucket, topology
from support.operator_fakes import KEY, USER_SECRETS, OperatorFakes

DEADLINE = timedelta(seconds=60)


async def deleted(fakes: OperatorFakes) -> bool:
    """Whether it may go now."""
    body = fakes.cluster.get("HealthIngest", KEY.name)
    body["metadata"].setdefault(
        "deletionTimestamp", fakes.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return (await finalize(fakes.ports, body, DEADLINE)).may_remove_finalizer


async def test_by_default_what_holds_data_stays() -> None:
    """
    Users go, bucket and virtual host stay and are free for another owner.

    The database that was made is named.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.events.clear()
    assert await deleted(fakes)
    assert not [path for path in fakes.broker.things if path[0] == "users"]
    assert ("queues", "clinic", "processing") in fakes.broker.things
    assert fakes.broker.things["vhosts", "clinic"]["tags"] == []
    assert bucket.OWNER_TAG not in fakes.store.buckets["clinic-data"].tags
    (event,) = fakes.cluster.events
    assert event[0] == "LeftBehind"
    assert event[1].startswith("left behind: role and database healthingest_clinic_a_clinic")
    assert "database-secret" not in event[1]


async def test_asked_for_empty_things_go() -> None:
    """Policy Delete removes an empty bucket and a virtual host without messages."""
    fakes = OperatorFakes()
    spec = fakes.cluster.get("HealthIngest", KEY.name)["spec"]
    spec["objectStore"]["deletionPolicy"] = spec["broker"]["deletionPolicy"] = "Delete"
    await fakes.until_ready()
    assert await deleted(fakes)
    assert fakes.store.buckets == {}
    assert ("vhosts", "clinic") not in fakes.broker.things


async def test_what_is_not_empty_stays_and_is_named() -> None:
    """Objects and messages outlive policy Delete."""
    fakes = OperatorFakes()
    spec = fakes.cluster.get("HealthIngest", KEY.name)["spec"]
    spec["objectStore"]["deletionPolicy"] = spec["broker"]["deletionPolicy"] = "Delete"
    await fakes.until_ready()
    fakes.store.full = True
    fakes.broker.things["queues", "clinic", "processing"]["messages"] = 1
    assert await deleted(fakes)
    assert "clinic-data" in fakes.store.buckets
    assert ("vhosts", "clinic") in fakes.broker.things
    reason, message = fakes.cluster.events[-1]
    assert reason == "LeftBehind"
    assert "bucket clinic-data" in message
    assert "virtual host clinic" in message


@pytest.mark.parametrize("part", ["store", "broker"])
async def test_what_cannot_be_reached_is_left_at_the_deadline(part: str) -> None:
    """Tried again until then, told meanwhile in the status and at the end in an event."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    getattr(fakes, part).fault = DependencyError(Reason.UNREACHABLE, "no answer from there")
    assert not await deleted(fakes)
    assert fakes.conditions()["Ready"][1] == "Deleting"
    fakes.clock.advance(59)
    assert not await deleted(fakes)
    fakes.clock.advance(2)
    assert await deleted(fakes)
    assert fakes.cluster.events[-1][0] == "LeftBehind"
    assert "no answer from there" in fakes.cluster.events[-1][1]


async def test_secrets_that_went_first_do_not_hold_it_up() -> None:
    """As when a namespace is deleted: past the deadline it may go."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    for name in ("s3", "rabbitmq"):
        fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    assert not await deleted(fakes)
    fakes.clock.advance(61)
    assert await deleted(fakes)


async def test_in_a_namespace_that_goes_no_secret_is_waited_for() -> None:
    """It cannot come back; what cannot be reached is still tried until the deadline."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.going.add(KEY.namespace)
    for name in ("s3", "rabbitmq"):
        fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    assert await deleted(fakes)
    assert fakes.cluster.events[-1][0] == "LeftBehind"
    fakes.cluster.secret("s3", USER_SECRETS["s3"])
    fakes.store.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    assert not await deleted(fakes)


async def test_what_belongs_to_another_is_not_touched() -> None:
    """A HealthIngest that never owned bucket and virtual host takes nothing with it."""
    fakes = OperatorFakes()
    fakes.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: "other/clinic"})
    fakes.broker.things["vhosts", "clinic"] = {"tags": [f"{topology.OWNER_TAG}other/clinic"]}
    fakes.broker.things["users", "clinic.relay"] = {}
    assert await deleted(fakes)
    assert fakes.store.writes == fakes.broker.writes == []
    assert ("users", "clinic.relay") in fakes.broker.things


async def test_an_invalid_spec_may_go() -> None:
    """A deletion does not depend on a manifest that can be read."""
    fakes = OperatorFakes()
    fakes.cluster.get("HealthIngest", KEY.name)["spec"] = {}
    assert await deleted(fakes)


async def test_it_may_be_done_twice() -> None:
    """A crash between the work and the finalizer repeats it without harm."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    assert await deleted(fakes)
    assert await deleted(fakes)


async def test_rights_that_went_with_the_namespace_do_not_hold_it_up_for_ever() -> None:
    """
    Its Role goes before its HealthIngests.

    After the deadline they go, and what stays is named.
    """
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.cluster.forbidden = True
    assert not await deleted(fakes)
    fakes.clock.advance(DEADLINE.total_seconds())
    body = fakes.cluster.get("HealthIngest", KEY.name)
    finalized = await finalize(fakes.ports, body, DEADLINE)
    assert finalized.may_remove_finalizer
    assert "may not read the Secrets of namespace clinic-a" in finalized.left_behind[0]
    assert "bucket clinic-data and virtual host clinic" in finalized.left_behind[0]


async def test_a_role_removed_during_the_question_about_the_namespace_does_not_delay_deletion() -> (
    None
):
    """The Secrets were gone already, and then the right to ask whether the namespace goes."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    for name in USER_SECRETS:
        fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    fakes.cluster.asks_forbidden = True
    assert not await deleted(fakes)
    fakes.clock.advance(DEADLINE.total_seconds())
    assert await deleted(fakes)
