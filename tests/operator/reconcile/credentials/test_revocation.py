"""Credentials are exchanged while pods run: what is told to whom, in which order."""

import json
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION, Reason
from healthingest_operator.reconcile.credentials.rotation import TOKEN_OVERLAP, Policy
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.outcome import Outcome
from healthingest_operator.resources.names import database_users
from healthingest_operator.resources.secrets import STAGED, decode
from healthingest_operator.resources.signing_keys import keys_of
from support.operator_fakes import KEY, OperatorFakes

UNREACHABLE = DependencyError(Reason.UNREACHABLE, "no answer")


async def ready_fakes() -> OperatorFakes:
    """One that is at rest."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    await fakes.reconcile()
    return fakes


def ask(fakes: OperatorFakes, *tokens: str) -> None:
    """As `kubectl annotate` does."""
    fakes.cluster.get("HealthIngest", KEY.name)["metadata"].setdefault("annotations", {})[
        ROTATE_ANNOTATION
    ] = "".join(tokens) or "now"


def values(fakes: OperatorFakes) -> dict[str, str]:
    """What the service's Secret has."""
    return decode(fakes.cluster.get("Secret", "clinic-service"))


def reader(fakes: OperatorFakes) -> dict[str, str]:
    """What the consumers' Secret has."""
    return decode(fakes.cluster.get("Secret", "clinic-consumer"))


def users(fakes: OperatorFakes) -> set[str]:
    """The broker's."""
    return {path[1] for path in fakes.broker.things if path[0] == "users"}


def logins(fakes: OperatorFakes) -> set[str | None]:
    """The database's."""
    return {urlsplit(url).username for url in fakes.database.logins}


def keys(fakes: OperatorFakes) -> list[str]:
    """Keys of the pods, the signing one first."""
    return keys_of(values(fakes)[env.IDENTITY_SIGNING_KEYS])


def secrets_ready(fakes: OperatorFakes) -> tuple[str, str]:
    """Status and reason."""
    return fakes.conditions()["SecretsReady"][:2]


def digest(fakes: OperatorFakes, name: str) -> str:
    """What rolls the pods of a Deployment."""
    template = fakes.cluster.get("Deployment", name)["spec"]["template"]
    return str(template["metadata"]["annotations"]["healthingest.dev/settings"])


async def test_first_the_new_then_the_pods_then_the_old() -> None:
    """
    The old logins are valid until all pods have the new ones.

    The keys overlap for as long as a token lives.
    """
    fakes = await ready_fakes()
    old = values(fakes)
    old_keys = keys(fakes)
    ask(fakes)
    await fakes.reconcile()
    owner, other = database_users(KEY)
    assert users(fakes) == {
        "clinic.relay",
        "clinic.relay-b",
        "clinic.consumer",
        "clinic.consumer-b",
    }
    assert logins(fakes) == {owner, other}
    assert (values(fakes)[env.BROKER_URL], reader(fakes)["username"]) != (
        old[env.BROKER_URL],
        "clinic.consumer",
    )
    assert not set(STAGED) & set(values(fakes))
    assert keys(fakes)[0] == old_keys[0]
    assert secrets_ready(fakes) == ("True", Reason.CREDENTIALS_ROTATING)
    await fakes.reconcile()
    assert "clinic.relay" in users(fakes)
    await fakes.until_ready()
    assert users(fakes) == {"clinic.relay-b", "clinic.consumer", "clinic.consumer-b"}
    assert logins(fakes) == {other}
    assert keys(fakes)[1:] == old_keys
    assert fakes.conditions()["Ready"][0] == "True"
    await fakes.until_ready()
    fakes.clock.advance(3600)
    await fakes.reconcile()
    assert users(fakes) == {"clinic.relay-b", "clinic.consumer-b"}
    assert len(keys(fakes)) == 2
    fakes.clock.advance(61)
    await fakes.until_ready()
    await fakes.reconcile()
    assert keys(fakes)[0] not in old_keys
    assert len(keys(fakes)) == 1
    assert secrets_ready(fakes) == ("True", Reason.CREDENTIALS_ROTATED)
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.READY
    assert fakes.all_writes() == []
    told = [reason for reason, _ in fakes.cluster.events]
    assert told.index(Reason.CREDENTIALS_ROTATING) < told.index(Reason.CREDENTIALS_ROTATED)


async def rotate(fakes: OperatorFakes, token: str) -> None:
    """From the request to the end."""
    ask(fakes, token)
    for _ in range(24):
        await fakes.reconcile()
        fakes.cluster.settle()
        fakes.clock.advance(TOKEN_OVERLAP.total_seconds() / 4)
    assert secrets_ready(fakes)[1] == Reason.CREDENTIALS_ROTATED


async def test_two_rotations_lead_back_to_the_first_names() -> None:
    """With passwords that were never there before."""
    fakes = await ready_fakes()
    first = values(fakes)
    await rotate(fakes, "one")
    await rotate(fakes, "two")
    assert users(fakes) == {"clinic.relay", "clinic.consumer"}
    assert logins(fakes) == {database_users(KEY)[0]}
    again = values(fakes)
    assert not {first[name] for name in (env.BROKER_URL, env.DATABASE_URL)} & set(again.values())


async def test_a_pod_on_its_way_out_keeps_the_old_logins_alive() -> None:
    """The Deployment does not count it, but it still answers uploads."""
    fakes = await ready_fakes()
    labels = {"app.kubernetes.io/instance": "clinic", "app.kubernetes.io/component": "api"}
    annotations = {"healthingest.dev/settings": digest(fakes, "clinic-api")}
    metadata = {
        "namespace": KEY.namespace,
        "name": "old",
        "labels": labels,
        "annotations": annotations,
    }
    fakes.cluster.put(
        {"kind": "Pod", "metadata": metadata | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}
    )
    ask(fakes)
    await fakes.until_ready()
    assert "clinic.relay" in users(fakes)
    assert len(logins(fakes)) == 2
    fakes.cluster.objects.pop(("Pod", KEY.namespace, "old"))
    await fakes.reconcile()
    assert "clinic.relay" not in users(fakes)
    assert len(logins(fakes)) == 1


@pytest.mark.parametrize("part", ["broker", "database"])
async def test_in_an_outage_the_pods_keep_what_works(part: str) -> None:
    """
    Nothing new reaches them before broker and database have confirmed it.

    The rotation goes on by itself.
    """
    fakes = await ready_fakes()
    old = values(fakes)
    digests = digest(fakes, "clinic-relay")
    ask(fakes)
    getattr(fakes, part).fault = UNREACHABLE
    await fakes.reconcile()
    await fakes.reconcile()
    assert {name: values(fakes)[name] for name in (env.BROKER_URL, env.DATABASE_URL)} == {
        name: old[name] for name in (env.BROKER_URL, env.DATABASE_URL)
    }
    assert digest(fakes, "clinic-relay") == digests
    getattr(fakes, part).fault = None
    await fakes.until_ready()
    assert "clinic.relay" not in users(fakes)


@pytest.mark.parametrize("name", ["postgres", "rabbitmq"])
async def test_while_the_old_logins_cannot_be_refused_nothing_goes_on(name: str) -> None:
    """A Secret that is gone for a moment leaves no login behind."""
    fakes = await ready_fakes()
    ask(fakes)
    for _ in range(2):  # migrated, and rolled out
        await fakes.reconcile()
        fakes.cluster.settle()
    lost = fakes.cluster.objects.pop(("Secret", KEY.namespace, name))
    for _ in range(4):
        await fakes.reconcile()
        fakes.cluster.settle()
    assert (len(users(fakes)), len(logins(fakes))) == (4, 2)
    fakes.cluster.put(lost)
    await fakes.until_ready()
    assert (len(users(fakes)), len(logins(fakes))) == (3, 1)


async def test_the_relay_is_not_rolled_for_a_key_it_does_not_read() -> None:
    """Once it has its new logins; nor is the database migrated once more."""
    fakes = await ready_fakes()
    ask(fakes)
    await fakes.until_ready()
    relay = digest(fakes, "clinic-relay")
    api = digest(fakes, "clinic-api")
    jobs = fakes.cluster.names("Job")
    assert len(keys(fakes)) == 2
    for _ in range(3):
        await fakes.until_ready()
        fakes.clock.advance(TOKEN_OVERLAP.total_seconds())
    assert len(keys(fakes)) == 1
    assert digest(fakes, "clinic-api") != api
    assert (digest(fakes, "clinic-relay"), fakes.cluster.names("Job")) == (relay, jobs)


async def test_age_begins_one_too() -> None:
    """Once after the time that the operator was given."""
    fakes = await ready_fakes()
    fakes.policy = Policy(after=timedelta(days=90))
    fakes.clock.advance(89 * 86400)
    await fakes.reconcile()
    assert secrets_ready(fakes)[1] == Reason.PROVISIONED
    fakes.clock.advance(86400)
    await fakes.reconcile()
    assert secrets_ready(fakes)[1] == Reason.CREDENTIALS_ROTATING


async def test_a_second_request_waits_for_the_end_of_the_first() -> None:
    """It is not forgotten, and nothing valid is overwritten meanwhile."""
    fakes = await ready_fakes()
    ask(fakes, "one")
    await fakes.until_ready()
    ask(fakes, "two")
    before = values(fakes)[env.BROKER_URL]
    await fakes.until_ready()
    assert values(fakes)[env.BROKER_URL] == before
    await rotate(fakes, "two")
    assert values(fakes)[env.BROKER_URL] != before


async def test_wrong_keys_of_the_store_never_reach_the_pods() -> None:
    """The condition says so; right ones go to the pods at once."""
    fakes = await ready_fakes()
    before = digest(fakes, "clinic-api")
    fakes.store.refused.add("wrong")
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "wrong"})
    await fakes.reconcile()
    assert fakes.conditions()["BucketReady"][:2] == ("False", Reason.AUTHENTICATION_FAILED)
    assert values(fakes)[env.STORE_SECRET_ACCESS_KEY] == "store-secret"
    assert digest(fakes, "clinic-api") == before
    fakes.cluster.secret("s3", {"accessKeyId": "user", "secretAccessKey": "right"})
    await fakes.until_ready()
    assert values(fakes)[env.STORE_SECRET_ACCESS_KEY] == "right"
    assert digest(fakes, "clinic-api") != before


async def test_a_wrong_address_of_a_database_never_reaches_the_pods() -> None:
    """Nor does one that cannot be reached."""
    fakes = await ready_fakes()
    before = values(fakes)[env.DATABASE_URL]
    fakes.cluster.secret("postgres", {"url": "postgresql://user:wrong@postgres:5432/mine"})
    await fakes.reconcile()
    assert fakes.conditions()["DatabaseReady"][0] == "False"
    assert values(fakes)[env.DATABASE_URL] == before


async def test_a_secret_that_is_lost_in_between_leaves_no_login_behind() -> None:
    """Whatever was valid before is refused once the pods have the newest ones."""
    fakes = await ready_fakes()
    ask(fakes)
    await fakes.reconcile()
    fakes.cluster.objects.pop(("Secret", KEY.namespace, "clinic-service"))
    fakes.cluster.objects.pop(("Secret", KEY.namespace, "clinic-consumer"))
    for _ in range(3):
        await fakes.until_ready()
        fakes.clock.advance(TOKEN_OVERLAP.total_seconds())
    assert users(fakes) == {"clinic.relay", "clinic.consumer"}
    assert logins(fakes) == {database_users(KEY)[0]}


async def test_no_password_is_told() -> None:
    """Neither next nor former credentials appear in status, events or unsecret objects."""
    fakes = await ready_fakes()
    secrets = set(values(fakes).values())
    fakes.database.fault = UNREACHABLE
    ask(fakes)
    await fakes.reconcile()
    secrets |= set(values(fakes).values())
    fakes.database.fault = None
    await fakes.until_ready()
    secrets |= set(values(fakes).values()) | {reader(fakes)["password"]}
    others = [found for (kind, _, _), found in fakes.cluster.objects.items() if kind != "Secret"]
    told = json.dumps([others, fakes.cluster.events])
    assert not [value for value in secrets - {"user"} if json.dumps(value)[1:-1] in told]
