"""Credentials are exchanged while pods run: what is told to whom, in which order."""

import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION, Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.reconcile import Outcome
from healthingest_operator.resources.names import database_users
from healthingest_operator.resources.rotation import TOKEN_OVERLAP, Policy, keys_of
from healthingest_operator.resources.secrets import STAGED, decode
from support.operator_world import KEY, FakeWorld

UNREACHABLE = DependencyError(Reason.UNREACHABLE, "no answer")


async def ready_world() -> FakeWorld:
    """One that is at rest."""
    world = FakeWorld()
    await world.until_ready()
    await world.converge()
    return world


def ask(world: FakeWorld, *tokens: str) -> None:
    """As `kubectl annotate` does."""
    world.cluster.get("HealthIngest", KEY.name)["metadata"].setdefault("annotations", {})[
        ROTATE_ANNOTATION
    ] = "".join(tokens) or "now"


def values(world: FakeWorld) -> dict[str, str]:
    """What the service's Secret has."""
    return decode(world.cluster.get("Secret", "clinic-service"))


def reader(world: FakeWorld) -> dict[str, str]:
    """What the consumers' Secret has."""
    return decode(world.cluster.get("Secret", "clinic-consumer"))


def users(world: FakeWorld) -> set[str]:
    """The broker's."""
    return {path[1] for path in world.broker.things if path[0] == "users"}


def logins(world: FakeWorld) -> set[str | None]:
    """The database's."""
    return {urlsplit(url).username for url in world.database.logins}


def keys(world: FakeWorld) -> list[str]:
    """Keys of the pods, the signing one first."""
    return keys_of(values(world)[env.IDENTITY_SIGNING_KEYS])


def secrets_ready(world: FakeWorld) -> tuple[str, str]:
    """Status and reason."""
    return world.conditions()["SecretsReady"][:2]


def digest(world: FakeWorld, name: str) -> str:
    """What rolls the pods of a Deployment."""
    template = world.cluster.get("Deployment", name)["spec"]["template"]
    return str(template["metadata"]["annotations"]["healthingest.dev/settings"])


async def test_first_the_new_then_the_pods_then_the_old() -> None:
    """
    The old logins are valid until all pods have the new ones.

    The keys overlap for as long as a token lives.
    """
    world = await ready_world()
    old, old_keys = values(world), keys(world)
    ask(world)
    await world.converge()
    owner, other = database_users(KEY)
    assert users(world) == {
        "clinic.relay",
        "clinic.relay-b",
        "clinic.consumer",
        "clinic.consumer-b",
    }
    assert logins(world) == {owner, other}
    assert (values(world)[env.BROKER_URL], reader(world)["username"]) != (
        old[env.BROKER_URL],
        "clinic.consumer",
    )
    assert not set(STAGED) & set(values(world))
    assert keys(world)[0] == old_keys[0]
    assert secrets_ready(world) == ("True", Reason.CREDENTIALS_ROTATING)
    await world.converge()
    assert "clinic.relay" in users(world)
    await world.until_ready()
    assert users(world) == {"clinic.relay-b", "clinic.consumer", "clinic.consumer-b"}
    assert logins(world) == {other}
    assert keys(world)[1:] == old_keys
    assert world.conditions()["Ready"][0] == "True"
    await world.until_ready()
    world.clock.advance(3600)
    await world.converge()
    assert users(world) == {"clinic.relay-b", "clinic.consumer-b"}
    assert len(keys(world)) == 2
    world.clock.advance(61)
    await world.until_ready()
    await world.converge()
    assert keys(world)[0] not in old_keys
    assert len(keys(world)) == 1
    assert secrets_ready(world) == ("True", Reason.CREDENTIALS_ROTATED)
    world.forget_writes()
    assert await world.converge() is Outcome.READY
    assert world.all_writes() == []
    told = [reason for reason, _ in world.cluster.events]
    assert told.index(Reason.CREDENTIALS_ROTATING) < told.index(Reason.CREDENTIALS_ROTATED)


async def rotate(world: FakeWorld, token: str) -> None:
    """From the request to the end."""
    ask(world, token)
    for _ in range(24):
        await world.converge()
        world.cluster.settle()
        world.clock.advance(TOKEN_OVERLAP.total_seconds() / 4)
    assert secrets_ready(world)[1] == Reason.CREDENTIALS_ROTATED


async def test_two_rotations_lead_back_to_the_first_names() -> None:
    """With passwords that were never there before."""
    world = await ready_world()
    first = values(world)
    await rotate(world, "one")
    await rotate(world, "two")
    assert users(world) == {"clinic.relay", "clinic.consumer"}
    assert logins(world) == {database_users(KEY)[0]}
    again = values(world)
    assert not {first[name] for name in (env.BROKER_URL, env.DATABASE_URL)} & set(again.values())


async def test_a_pod_on_its_way_out_keeps_the_old_logins_alive() -> None:
    """The Deployment does not count it, but it still answers uploads."""
    world = await ready_world()
    labels = {"app.kubernetes.io/instance": "clinic", "app.kubernetes.io/component": "api"}
    annotations = {"healthingest.dev/settings": digest(world, "clinic-api")}
    metadata = {
        "namespace": KEY.namespace,
        "name": "old",
        "labels": labels,
        "annotations": annotations,
    }
    world.cluster.put(
        {"kind": "Pod", "metadata": metadata | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    )
    ask(world)
    await world.until_ready()
    assert "clinic.relay" in users(world)
    assert len(logins(world)) == 2
    world.cluster.objects.pop(("Pod", KEY.namespace, "old"))
    await world.converge()
    assert "clinic.relay" not in users(world)
    assert len(logins(world)) == 1


@pytest.mark.parametrize("part", ["broker", "database"])
async def test_in_an_outage_the_pods_keep_what_works(part: str) -> None:
    """
    Nothing new reaches them before broker and database have confirmed it.

    The rotation goes on by itself.
    """
    world = await ready_world()
    old, digests = values(world), digest(world, "clinic-relay")
    ask(world)
    getattr(world, part).fault = UNREACHABLE
    await world.converge()
    await world.converge()
    assert {name: values(world)[name] for name in (env.BROKER_URL, env.DATABASE_URL)} == {
        name: old[name] for name in (env.BROKER_URL, env.DATABASE_URL)
    }
    assert digest(world, "clinic-relay") == digests
    getattr(world, part).fault = None
    await world.until_ready()
    assert "clinic.relay" not in users(world)


@pytest.mark.parametrize("name", ["postgres", "rabbitmq"])
async def test_while_the_old_logins_cannot_be_refused_nothing_goes_on(name: str) -> None:
    """A Secret that is gone for a moment leaves no login behind."""
    world = await ready_world()
    ask(world)
    for _ in range(2):  # migrated, and rolled out
        await world.converge()
        world.cluster.settle()
    lost = world.cluster.objects.pop(("Secret", KEY.namespace, name))
    for _ in range(4):
        await world.converge()
        world.cluster.settle()
    assert (len(users(world)), len(logins(world))) == (4, 2)
    world.cluster.put(lost)
    await world.until_ready()
    assert (len(users(world)), len(logins(world))) == (3, 1)


async def test_the_relay_is_not_rolled_for_a_key_it_does_not_read() -> None:
    """Once it has its new logins; nor is the database migrated once more."""
    world = await ready_world()
    ask(world)
    await world.until_ready()
    relay, api, jobs = (
        digest(world, "clinic-relay"),
        digest(world, "clinic-api"),
        world.cluster.names("Job"),
    )
    assert len(keys(world)) == 2
    for _ in range(3):
        await world.until_ready()
        world.clock.advance(TOKEN_OVERLAP.total_seconds())
    assert len(keys(world)) == 1
    assert digest(world, "clinic-api") != api
    assert (digest(world, "clinic-relay"), world.cluster.names("Job")) == (relay, jobs)


async def test_age_begins_one_too() -> None:
    """Once after the time that the operator was given."""
    world = await ready_world()
    world.policy = Policy(after=timedelta(days=90))
    world.clock.advance(89 * 86400)
    await world.converge()
    assert secrets_ready(world)[1] == Reason.PROVISIONED
    world.clock.advance(86400)
    await world.converge()
    assert secrets_ready(world)[1] == Reason.CREDENTIALS_ROTATING


async def test_a_second_request_waits_for_the_end_of_the_first() -> None:
    """It is not forgotten, and nothing valid is overwritten meanwhile."""
    world = await ready_world()
    ask(world, "one")
    await world.until_ready()
    ask(world, "two")
    before = values(world)[env.BROKER_URL]
    await world.until_ready()
    assert values(world)[env.BROKER_URL] == before
    await rotate(world, "two")
    assert values(world)[env.BROKER_URL] != before


async def test_wrong_keys_of_the_store_never_reach_the_pods() -> None:
    """The condition says so; right ones go to the pods at once."""
    world = await ready_world()
    before = digest(world, "clinic-api")
    world.store.refused.add("wrong")
    world.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "wrong"})
    await world.converge()
    assert world.conditions()["BucketReady"][:2] == ("False", Reason.AUTHENTICATION_FAILED)
    assert values(world)[env.STORE_SECRET_ACCESS_KEY] == "store-secret"
    assert digest(world, "clinic-api") == before
    world.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "right"})
    await world.until_ready()
    assert values(world)[env.STORE_SECRET_ACCESS_KEY] == "right"
    assert digest(world, "clinic-api") != before


async def test_a_wrong_address_of_a_database_never_reaches_the_pods() -> None:
    """Nor does one that cannot be reached."""
    world = await ready_world()
    before = values(world)[env.DATABASE_URL]
    world.cluster.secret("postgres", {"url": "postgresql://user:wrong@postgres:5432/mine"})
    await world.converge()
    assert world.conditions()["DatabaseReady"][0] == "False"
    assert values(world)[env.DATABASE_URL] == before


async def test_a_secret_that_is_lost_in_between_leaves_no_login_behind() -> None:
    """Whatever was valid before is refused once the pods have the newest ones."""
    world = await ready_world()
    ask(world)
    await world.converge()
    world.cluster.objects.pop(("Secret", KEY.namespace, "clinic-service"))
    world.cluster.objects.pop(("Secret", KEY.namespace, "clinic-consumer"))
    for _ in range(3):
        await world.until_ready()
        world.clock.advance(TOKEN_OVERLAP.total_seconds())
    assert users(world) == {"clinic.relay", "clinic.consumer"}
    assert logins(world) == {database_users(KEY)[0]}


async def test_no_password_is_told() -> None:
    """Neither next nor former credentials appear in status, events or unsecret objects."""
    world = await ready_world()
    secrets = set(values(world).values())
    world.database.fault = UNREACHABLE
    ask(world)
    await world.converge()
    secrets |= set(values(world).values())
    world.database.fault = None
    await world.until_ready()
    secrets |= set(values(world).values()) | {reader(world)["password"]}
    others = [found for (kind, _, _), found in world.cluster.objects.items() if kind != "Secret"]
    told = json.dumps([others, world.cluster.events])
    assert not [value for value in secrets - {"user"} if json.dumps(value)[1:-1] in told]
