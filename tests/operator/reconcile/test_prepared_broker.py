"""A HealthIngest whose virtual host and user are prepared by others."""

import base64
import hashlib
from datetime import timedelta
from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_contract.conditions import ROTATE_ANNOTATION, Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.finalize import finalize
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.resources.secrets import decode, password_of, user_of
from support.operator_fakes import KEY, OperatorFakes

NOTHING = "^$"
BROKER = {"userSecretRef": {"name": "relay"}, "virtualHost": "clinic"}
SECRET = {"amqpUrl": "amqp://rabbitmq:5672", "username": "team", "password": "team-secret"}
ALL = {"configure": ".*", "write": ".*", "read": ".*"}
PUBLISHES = {"configure": NOTHING, "write": "^health_data_exchange$", "read": NOTHING}


def password_hash(password: str) -> str:
    """As RabbitMQ stores it."""
    digest = hashlib.sha256(b"salt" + password.encode()).digest()
    return base64.b64encode(b"salt" + digest).decode()


def prepared(rights: dict[str, str]) -> OperatorFakes:
    """The fakes, with a virtual host and a user that the broker's owner has made."""
    fakes = OperatorFakes(broker=BROKER)
    fakes.cluster.objects.pop(("Secret", KEY.namespace, "rabbitmq"))
    fakes.cluster.secret("relay", SECRET)
    fakes.broker.things["vhosts", "clinic"] = {"tags": ["team"], "description": "of the team"}
    fakes.broker.things["users", "team"] = {"password_hash": password_hash("team-secret")}
    fakes.broker.things["permissions", "clinic", "team"] = rights
    return fakes


def provided(fakes: OperatorFakes) -> OperatorFakes:
    """The same, with exchange and queue of the broker's owner."""
    fakes.broker.things["exchanges", "clinic", "health_data_exchange"] = {"type": "topic"}
    for queue in ("processing", "erasures"):
        fakes.broker.things["queues", "clinic", queue] = {"type": "classic", "messages": 0}
    return fakes


async def test_a_user_with_permissions_completes_the_virtual_host() -> None:
    """Exchange and queues, but no user, no policy and no tag."""
    fakes = prepared(ALL)
    before = dict(fakes.broker.things)
    await fakes.until_ready()
    made = {path for path in fakes.broker.things if path not in before}
    assert made == {
        ("exchanges", "clinic", "health_data_exchange"),
        ("exchanges", "clinic", "health_data_exchange.dead"),
        ("queues", "clinic", "processing"),
        ("queues", "clinic", "processing.dead"),
        ("queues", "clinic", "erasures"),
        ("queues", "clinic", "erasures.dead"),
    }
    assert {path: fakes.broker.things[path] for path in before} == before
    conditions = fakes.conditions()
    assert conditions["BrokerReady"][2] == "broker rabbitmq:5672 as user team"
    assert conditions["TopologyReady"][2] == "virtual host clinic, prepared for user team"


async def test_the_service_logs_in_as_this_user() -> None:
    """There is no Secret for consumers, because the operator can create no user for them."""
    fakes = provided(prepared(PUBLISHES))
    await fakes.until_ready()
    service = decode(fakes.cluster.get("Secret", "clinic-service"))
    assert service[env.BROKER_URL] == "amqp://team:team-secret@rabbitmq:5672/clinic"
    own = ["clinic-erasure-key", "clinic-service"]
    assert fakes.cluster.names("Secret") == [*own, "postgres", "relay", "s3"]
    status = fakes.cluster.get("HealthIngest", KEY.name)["status"]
    assert status["secrets"] == {"service": "clinic-service", "erasureKey": "clinic-erasure-key"}


async def test_permission_to_publish_is_enough_for_a_prepared_topology() -> None:
    """The condition says what could not be checked; at rest nothing is written anywhere."""
    fakes = provided(prepared(PUBLISHES))
    await fakes.until_ready()
    assert "2 bindings cannot be checked" in fakes.conditions()["TopologyReady"][2]
    await fakes.reconcile()
    fakes.forget_writes()
    assert await fakes.reconcile() is Outcome.READY
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.UNCHANGED
    assert fakes.all_writes() == []


@pytest.mark.parametrize(
    ("rights", "gone", "kind", "reason", "words"),
    [
        (
            PUBLISHES,
            ("queues", "clinic", "processing"),
            "TopologyReady",
            "TopologyIncomplete",
            (
                "virtual host clinic lacks exchange health_data_exchange.dead, queue"
                " processing.dead, queue processing, which user team may not create"
            ),
        ),
        (
            PUBLISHES,
            ("queues", "clinic", "erasures"),
            "TopologyReady",
            "TopologyIncomplete",
            "queue erasures.dead, queue erasures, which user team may not create",
        ),
        (
            PUBLISHES,
            ("exchanges", "clinic", "health_data_exchange"),
            "TopologyReady",
            "TopologyIncomplete",
            "lacks exchange health_data_exchange, which",
        ),
        (
            {**PUBLISHES, "write": NOTHING},
            (),
            "TopologyReady",
            "PermissionDenied",
            "user team may not publish to exchange health_data_exchange of virtual host clinic",
        ),
        (
            PUBLISHES,
            ("vhosts", "clinic"),
            "TopologyReady",
            "TopologyIncomplete",
            "has no virtual host clinic, and user team cannot create it",
        ),
        (
            PUBLISHES,
            ("permissions", "clinic", "team"),
            "TopologyReady",
            "PermissionDenied",
            "denies user team access to virtual host clinic",
        ),
        (
            PUBLISHES,
            ("users", "team"),
            "BrokerReady",
            "AuthenticationFailed",
            "refuses user team of spec.broker.userSecretRef",
        ),
    ],
)
async def test_what_is_missing_is_named_and_heals(
    rights: dict[str, str], gone: tuple[str, ...], kind: str, reason: str, words: str
) -> None:
    """Each gap has its message; after the owner has closed it, the next reconciliation goes on."""
    fakes = provided(prepared(rights))
    kept: Any = fakes.broker.things.pop(gone) if gone else None
    await fakes.reconcile()
    status, found, message = fakes.conditions()[kind]
    assert (status, found) == ("False", reason)
    assert words in message
    assert fakes.conditions()["Stalled"][0] == "True"
    if gone:
        fakes.broker.things[gone] = kept
    else:
        fakes.broker.things["permissions", "clinic", "team"] = PUBLISHES
    await fakes.until_ready()


async def test_an_external_check_sees_a_removed_queue() -> None:
    """It is created again where the user may, and named as drift."""
    fakes = prepared(ALL)
    await fakes.until_ready()
    await fakes.reconcile()
    fakes.broker.things.pop(("queues", "clinic", "processing"))
    await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK)
    assert "queue processing was missing" in fakes.conditions()["Drifted"][2]
    assert ("queues", "clinic", "processing") in fakes.broker.things


async def test_an_outage_of_the_broker_shows() -> None:
    """As with an administrator, and the pods stay."""
    fakes = provided(prepared(PUBLISHES))
    await fakes.until_ready()
    fakes.broker.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    assert await fakes.reconcile(ReconcileMode.EXTERNAL_CHECK) is Outcome.FAILING
    assert fakes.conditions()["BrokerReady"][1] == "Unreachable"
    assert fakes.cluster.names("Deployment") == ["clinic-api", "clinic-relay"]


async def test_a_changed_password_reaches_the_pods_after_it_worked() -> None:
    """Until the broker accepts it, they keep the old one."""
    fakes = provided(prepared(PUBLISHES))
    await fakes.until_ready()
    fakes.cluster.secret("relay", {**SECRET, "password": "new-secret"})
    await fakes.reconcile()
    assert fakes.conditions()["BrokerReady"][1] == "AuthenticationFailed"
    service = decode(fakes.cluster.get("Secret", "clinic-service"))
    assert password_of(service[env.BROKER_URL]) == "team-secret"
    fakes.broker.things["users", "team"] = {"password_hash": password_hash("new-secret")}
    await fakes.until_ready()
    service = decode(fakes.cluster.get("Secret", "clinic-service"))
    assert password_of(service[env.BROKER_URL]) == "new-secret"


async def test_a_rotation_leaves_the_user_of_others_alone() -> None:
    """Signing key and database login are replaced; the broker is not touched."""
    fakes = provided(prepared(PUBLISHES))
    await fakes.until_ready()
    before = decode(fakes.cluster.get("Secret", "clinic-service"))
    things = dict(fakes.broker.things)
    fakes.cluster.get("HealthIngest", KEY.name)["metadata"]["annotations"] = {
        ROTATE_ANNOTATION: "now"
    }
    for _ in range(6):
        await fakes.reconcile()
        fakes.cluster.settle()
    after = decode(fakes.cluster.get("Secret", "clinic-service"))
    assert after[env.BROKER_URL] == before[env.BROKER_URL]
    assert user_of(after[env.DATABASE_URL]) != user_of(before[env.DATABASE_URL])
    assert after[env.IDENTITY_SIGNING_KEYS] != before[env.IDENTITY_SIGNING_KEYS]
    assert fakes.broker.things == things
    assert "clinic-consumer" not in fakes.cluster.names("Secret")


async def test_a_deletion_leaves_the_broker_alone() -> None:
    """Nothing of it is removed, and the deletion needs neither the broker nor its Secret."""
    fakes = prepared(ALL)
    await fakes.until_ready()
    things = dict(fakes.broker.things)
    fakes.broker.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    fakes.cluster.objects.pop(("Secret", KEY.namespace, "relay"))
    body = fakes.cluster.get("HealthIngest", KEY.name)
    body["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    result = await finalize(fakes.ports, body, timedelta(minutes=1))
    assert result.may_remove_finalizer
    assert not [message for message in result.left_behind if "broker" in message]
    assert fakes.broker.things == things


async def test_the_default_user_of_the_cluster_operator_can_be_the_user() -> None:
    """The Secret is recognised; its management port is not needed."""
    fakes = provided(prepared(PUBLISHES))
    fakes.cluster.secret(
        "relay",
        {"host": "rabbit", "port": "5672", "username": "team", "password": "team-secret"},
    )
    await fakes.until_ready()
    service = decode(fakes.cluster.get("Secret", "clinic-service"))
    url = "amqp://team:team-secret@rabbit.clinic-a.svc:5672/clinic"
    assert service[env.BROKER_URL] == url


async def test_no_secret_of_the_user_is_told() -> None:
    """Not in status, events or other objects."""
    fakes = prepared({**PUBLISHES, "write": NOTHING})
    await fakes.reconcile()
    told = repr((fakes.cluster.get("HealthIngest", KEY.name).get("status"), fakes.cluster.events))
    assert "team-secret" not in told
