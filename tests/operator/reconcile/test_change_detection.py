"""What a glance sees, and what it spares."""

from collections.abc import Callable

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.change_detection import Memory
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.reconcile import Look, Outcome, converge
from healthingest_operator.reconcile.ttl_cache import SHARED_SECONDS
from healthingest_operator.resources import bucket
from support.operator_world import KEY, USER_SECRETS, FakeWorld, manifest


@pytest.fixture(name="world")
async def _world() -> FakeWorld:
    """One that is ready, and was found so by a glance."""
    world = FakeWorld()
    await world.until_ready()
    for _ in range(2):
        await world.converge(Look.GLANCE)
    return world


async def test_what_is_as_it_was_is_not_looked_at_in_full(world: FakeWorld) -> None:
    """
    No list of children, no look at the broker's things one by one.

    A complete pass leaves a fingerprint, too.
    """
    lists = world.cluster.lists
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    assert world.cluster.lists == lists
    assert await world.converge() is Outcome.READY
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED


async def test_a_new_process_looks_in_full(world: FakeWorld) -> None:
    """Nothing is remembered elsewhere."""
    world.memory = Memory()
    assert await world.converge(Look.GLANCE) is Outcome.READY
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED


def _remove_queue(world: FakeWorld) -> None:
    del world.broker.things["queues", "clinic", "processing"]


def _remove_binding(world: FakeWorld) -> None:
    world.broker.bindings.clear()


def _change_policy(world: FakeWorld) -> None:
    world.broker.things["policies", "clinic", "healthingest-processing"]["priority"] = 1


def _remove_user(world: FakeWorld) -> None:
    del world.broker.things["users", "clinic.relay"]


def _take_bucket(world: FakeWorld) -> None:
    del world.store.buckets["clinic-data"]


def _change_bucket(world: FakeWorld) -> None:
    world.store.buckets["clinic-data"] = bucket.Observed(tags={bucket.OWNER_TAG: str(KEY)})


def _remove_own_secret(world: FakeWorld) -> None:
    del world.cluster.objects["Secret", KEY.namespace, "clinic-consumer"]


def _change_own_secret(world: FakeWorld) -> None:
    world.cluster.get("Secret", "clinic-service")["data"].popitem()


@pytest.mark.parametrize(
    "break_something",
    [
        _remove_queue,
        _remove_binding,
        _change_policy,
        _remove_user,
        _take_bucket,
        _change_bucket,
        _remove_own_secret,
        _change_own_secret,
    ],
)
async def test_glances_alone_see_and_heal(
    world: FakeWorld, break_something: Callable[[FakeWorld], None]
) -> None:
    """
    Whatever it is, the next glance goes on to heal it, and says so.

    Later ones find all as it was.
    """
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    break_something(world)
    assert await world.converge(Look.GLANCE) is not Outcome.UNCHANGED
    for _ in range(4):
        world.cluster.settle()
        last = await world.converge(Look.GLANCE)
    assert last is Outcome.UNCHANGED
    new = FakeWorld()
    await new.until_ready()
    assert set(world.broker.things) == set(new.broker.things)
    assert [world.cluster.names(kind) for kind in ("Secret", "Deployment")] == [
        new.cluster.names(kind) for kind in ("Secret", "Deployment")
    ]
    assert world.store.buckets == new.store.buckets


async def test_the_same_again_is_seen(world: FakeWorld) -> None:
    """What a pass has healed is not what it found good: the fingerprint is of before."""
    _remove_binding(world)
    assert await world.converge() is Outcome.READY
    assert world.broker.bindings
    _remove_binding(world)
    assert await world.converge(Look.GLANCE) is Outcome.READY
    assert world.broker.bindings


async def test_what_a_pass_did_not_find_good_is_not_taken_for_good(world: FakeWorld) -> None:
    """Outside all is as it was, but pods are missing."""
    world.cluster.get("Deployment", "clinic-api")["status"]["availableReplicas"] = 0
    assert await world.converge() is Outcome.PROGRESSING
    assert await world.converge(Look.GLANCE) is Outcome.PROGRESSING


async def test_a_changed_secret_is_seen_within_seconds(world: FakeWorld) -> None:
    """It is shared with others for a moment, and no longer."""
    world.cluster.secret("s3", USER_SECRETS["s3"] | {"secretAccessKey": "another"})
    world.clock.advance(SHARED_SECONDS * 1.25)
    assert await world.converge(Look.GLANCE) is Outcome.PROGRESSING
    assert world.store.writes[-1] == "probe clinic-data"


async def test_who_cannot_be_reached_is_said(world: FakeWorld) -> None:
    """A glance that sees nothing is a full look, whose updates go into the conditions."""
    world.broker.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    assert await world.converge(Look.GLANCE) is Outcome.FAILING
    assert world.conditions()["BrokerReady"][:2] == ("False", "Unreachable")


async def test_each_login_of_one_database_server_is_tried() -> None:
    """A server's answer to one HealthIngest is never an answer for another, even when shared."""
    world = FakeWorld(database={"secretRef": {"name": "own"}})
    other = Key(KEY.namespace, "other")
    world.cluster.put(
        manifest(
            database={"secretRef": {"name": "others"}},
            objectStore={
                "bucket": "other-data",
                "endpoint": "http://s3:7070",
                "credentialsSecretRef": {"name": "s3"},
            },
            broker={"adminSecretRef": {"name": "rabbitmq"}, "virtualHost": "other"},
        )
        | {
            "metadata": {
                "name": other.name,
                "namespace": other.namespace,
                "uid": "2",
                "generation": 1,
            }
        }
    )
    for secret in ("own", "others"):
        url = f"postgresql://{secret}:word@postgres:5432/{secret}"
        world.cluster.secret(secret, {"url": url})
        world.database.logins.add(url)
    for _ in range(6):
        await world.until_ready()
        await converge(world.ports, other, Look.COMPLETE)
    assert await converge(world.ports, other, Look.GLANCE) is Outcome.UNCHANGED
    world.database.logins = {url for url in world.database.logins if "//others:" not in url}
    assert await world.converge(Look.GLANCE) is Outcome.UNCHANGED
    assert await converge(world.ports, other, Look.GLANCE) is Outcome.FAILING


async def test_nothing_is_as_it_was_that_was_not_seen() -> None:
    """
    What is not ready, or could not be seen, leaves nothing behind.

    What is forgotten is looked at in full.
    """
    world = FakeWorld()
    await world.converge()
    assert world.memory.recorded(KEY) is None
    await world.until_ready()
    await world.converge()
    assert world.memory.recorded(KEY) is not None
    world.memory.forget(KEY)
    assert await world.converge(Look.GLANCE) is Outcome.READY
