"""The end of a HealthIngest."""

from datetime import timedelta

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.resources import bucket, topology
from support.operator_world import KEY, USER_SECRETS, FakeWorld

DEADLINE = timedelta(seconds=60)


async def deleted(world: FakeWorld) -> bool:
    """Whether it may go now."""
    body = world.cluster.get("HealthIngest", KEY.name)
    body["metadata"].setdefault(
        "deletionTimestamp", world.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    )
    return (await finalize(world.ports, body, DEADLINE)).may_go


async def test_by_default_what_holds_data_stays() -> None:
    """
    Users go, bucket and virtual host stay and are free for another owner.

    The database that was made is named.
    """
    world = FakeWorld()
    await world.until_ready()
    world.cluster.events.clear()
    assert await deleted(world)
    assert not [path for path in world.broker.things if path[0] == "users"]
    assert ("queues", "clinic", "processing") in world.broker.things
    assert world.broker.things["vhosts", "clinic"]["tags"] == []
    assert bucket.OWNER_TAG not in world.store.buckets["clinic-data"].tags
    (event,) = world.cluster.events
    assert event[0] == "LeftBehind"
    assert event[1].startswith("left behind: role and database healthingest_clinic_a_clinic")
    assert "database-secret" not in event[1]


async def test_asked_for_empty_things_go() -> None:
    """Policy Delete removes an empty bucket and a virtual host without messages."""
    world = FakeWorld()
    spec = world.cluster.get("HealthIngest", KEY.name)["spec"]
    spec["objectStore"]["deletionPolicy"] = spec["broker"]["deletionPolicy"] = "Delete"
    await world.until_ready()
    assert await deleted(world)
    assert world.store.buckets == {}
    assert ("vhosts", "clinic") not in world.broker.things


async def test_what_is_not_empty_stays_and_is_named() -> None:
    """Objects and messages outlive policy Delete."""
    world = FakeWorld()
    spec = world.cluster.get("HealthIngest", KEY.name)["spec"]
    spec["objectStore"]["deletionPolicy"] = spec["broker"]["deletionPolicy"] = "Delete"
    await world.until_ready()
    world.store.full = True
    world.broker.things["queues", "clinic", "processing"]["messages"] = 1
    assert await deleted(world)
    assert "clinic-data" in world.store.buckets
    assert ("vhosts", "clinic") in world.broker.things
    reason, message = world.cluster.events[-1]
    assert reason == "LeftBehind"
    assert "bucket clinic-data" in message
    assert "virtual host clinic" in message


@pytest.mark.parametrize("part", ["store", "broker"])
async def test_what_cannot_be_reached_is_left_at_the_deadline(part: str) -> None:
    """Tried again until then, told meanwhile in the status and at the end in an event."""
    world = FakeWorld()
    await world.until_ready()
    getattr(world, part).fault = DependencyError(Reason.UNREACHABLE, "no answer from there")
    assert not await deleted(world)
    assert world.conditions()["Ready"][1] == "Deleting"
    world.clock.advance(59)
    assert not await deleted(world)
    world.clock.advance(2)
    assert await deleted(world)
    assert world.cluster.events[-1][0] == "LeftBehind"
    assert "no answer from there" in world.cluster.events[-1][1]


async def test_secrets_that_went_first_do_not_hold_it_up() -> None:
    """As when a namespace is deleted: past the deadline it may go."""
    world = FakeWorld()
    await world.until_ready()
    for name in ("s3", "rabbitmq"):
        world.cluster.objects.pop(("Secret", KEY.namespace, name))
    assert not await deleted(world)
    world.clock.advance(61)
    assert await deleted(world)


async def test_in_a_namespace_that_goes_no_secret_is_waited_for() -> None:
    """It cannot come back; what cannot be reached is still tried until the deadline."""
    world = FakeWorld()
    await world.until_ready()
    world.cluster.going.add(KEY.namespace)
    for name in ("s3", "rabbitmq"):
        world.cluster.objects.pop(("Secret", KEY.namespace, name))
    assert await deleted(world)
    assert world.cluster.events[-1][0] == "LeftBehind"
    world.cluster.secret("s3", USER_SECRETS["s3"])
    world.store.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    assert not await deleted(world)


async def test_what_belongs_to_another_is_not_touched() -> None:
    """A HealthIngest that never owned bucket and virtual host takes nothing with it."""
    world = FakeWorld()
    world.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: "other/clinic"})
    world.broker.things["vhosts", "clinic"] = {"tags": [f"{topology.OWNER_TAG}other/clinic"]}
    world.broker.things["users", "clinic.relay"] = {}
    assert await deleted(world)
    assert world.store.writes == world.broker.writes == []
    assert ("users", "clinic.relay") in world.broker.things


async def test_an_invalid_spec_may_go() -> None:
    """A deletion does not depend on a manifest that can be read."""
    world = FakeWorld()
    world.cluster.get("HealthIngest", KEY.name)["spec"] = {}
    assert await deleted(world)


async def test_it_may_be_done_twice() -> None:
    """A crash between the work and the finalizer repeats it without harm."""
    world = FakeWorld()
    await world.until_ready()
    assert await deleted(world)
    assert await deleted(world)


async def test_rights_that_went_with_the_namespace_do_not_hold_it_up_for_ever() -> None:
    """
    Its Role goes before its HealthIngests.

    After the deadline they go, and what stays is named.
    """
    world = FakeWorld()
    await world.until_ready()
    world.cluster.forbidden = True
    assert not await deleted(world)
    world.clock.advance(DEADLINE.total_seconds())
    body = world.cluster.get("HealthIngest", KEY.name)
    farewell = await finalize(world.ports, body, DEADLINE)
    assert farewell.may_go
    assert "may not read the Secrets of namespace clinic-a" in farewell.left[0]
    assert "bucket clinic-data and virtual host clinic" in farewell.left[0]


async def test_a_role_removed_during_the_question_about_the_namespace_does_not_delay_deletion() -> (
    None
):
    """The Secrets were gone already, and then the right to ask whether the namespace goes."""
    world = FakeWorld()
    await world.until_ready()
    for name in USER_SECRETS:
        world.cluster.objects.pop(("Secret", KEY.namespace, name))
    world.cluster.asks_forbidden = True
    assert not await deleted(world)
    world.clock.advance(DEADLINE.total_seconds())
    assert await deleted(world)
