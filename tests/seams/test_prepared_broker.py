"""The service publishes with the login that the operator has checked in a prepared virtual host."""

from typing import Any

import pytest

from healthingest_contract import environment as env
from healthingest_operator.adapters.rabbitmq.broker import rabbitmq_broker
from healthingest_operator.adapters.system import system_generators
from healthingest_operator.api.healthingest import parse
from healthingest_operator.reconcile.ports import BrokerUser
from healthingest_operator.resources.prepared_topology import declarations, lacking
from healthingest_operator.resources.secrets import UserSecrets, service_values
from healthingest_service.adapters.rabbitmq import open_publisher
from healthingest_service.uploads.errors import BrokerUnreachableError
from support.operator_fakes import manifest
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer
from support.uploads import message, upload

EXCHANGE = "health_data_exchange"
PASSWORD = " a@b:c/%#d?ü&+\\'\""
ONLY_PUBLISHES = {"configure": "^$", "write": f"^{EXCHANGE}$", "read": "^$"}
EVERYTHING = {"configure": ".*", "write": ".*", "read": ".*"}


def payloads(server: RabbitMQServer) -> list[dict[str, Any]]:
    """The messages in the queue."""
    get = {"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"}
    found: list[dict[str, Any]] = server.call(
        "POST", f"/api/queues/{server.virtual_host}/processing/get", get
    )
    return found


def prepare(server: RabbitMQServer) -> None:
    """Create exchange, queues and a binding as the broker's owner."""
    host = server.virtual_host
    exchange = {"type": "topic", "durable": True}
    server.call("PUT", f"/api/exchanges/{host}/{EXCHANGE}", exchange)
    for queue in ("processing", "erasures"):
        server.call("PUT", f"/api/queues/{host}/{queue}", {"durable": True})
    server.call("POST", f"/api/bindings/{host}/e/{EXCHANGE}/q/processing", {"routing_key": "#"})


@pytest.mark.parametrize("rights", [ONLY_PUBLISHES, EVERYTHING], ids=["publishes", "everything"])
async def test_the_checked_login_publishes(
    rabbitmq: RabbitMQServer, rights: dict[str, str]
) -> None:
    """
    Into queues of the broker's owner, and into those that the operator has declared.

    The password has every character that an address must encode.
    """
    host = rabbitmq.virtual_host
    name = f"prepared-{free_port()}"
    rabbitmq.call("PUT", f"/api/users/{name}", {"password": PASSWORD, "tags": ""})
    rabbitmq.call("PUT", f"/api/permissions/{host}/{name}", rights)
    if rights is ONLY_PUBLISHES:
        prepare(rabbitmq)
    reference = {"userSecretRef": {"name": "relay"}, "virtualHost": host}
    owner = parse(manifest(broker=reference))
    user = BrokerUser(rabbitmq.broker_url, name, PASSWORD)
    try:
        async with rabbitmq_broker(10) as broker:
            await broker.check_user(user)
            found = await broker.declare(user, host, declarations(owner.spec.broker), create=True)
        assert (lacking(owner.spec.broker, found), found.may_publish) == ((), True)
        given = UserSecrets(broker_endpoint=user.amqp_url, broker_login=(name, PASSWORD))
        url = service_values(owner, given, {}, {}, system_generators())[env.BROKER_URL]
        async with open_publisher(url=url, exchange=EXCHANGE, timeout_seconds=10) as publisher:
            await publisher.publish(message(upload()))
        assert len(payloads(rabbitmq)) == 1
    finally:
        rabbitmq.call("DELETE", f"/api/users/{name}")


async def test_the_check_agrees_with_the_service(rabbitmq: RabbitMQServer) -> None:
    """A user that the operator reports as one that may not publish cannot publish."""
    host = rabbitmq.virtual_host
    name = f"prepared-{free_port()}"
    prepare(rabbitmq)
    rabbitmq.call("PUT", f"/api/users/{name}", {"password": "word", "tags": ""})
    nothing = {"configure": "^$", "write": "^$", "read": ".*"}
    rabbitmq.call("PUT", f"/api/permissions/{host}/{name}", nothing)
    owner = parse(manifest(broker={"userSecretRef": {"name": "relay"}, "virtualHost": host}))
    user = BrokerUser(rabbitmq.broker_url, name, "word")
    url = rabbitmq.amqp_url.replace(f"{rabbitmq.username}:{rabbitmq.password}", f"{name}:word")
    try:
        async with rabbitmq_broker(10) as broker:
            found = await broker.declare(user, host, declarations(owner.spec.broker), create=True)
        assert not found.may_publish
        async with open_publisher(url=url, exchange=EXCHANGE, timeout_seconds=10) as publisher:
            with pytest.raises(BrokerUnreachableError):
                await publisher.publish(message(upload()))
        assert payloads(rabbitmq) == []
    finally:
        rabbitmq.call("DELETE", f"/api/users/{name}")
