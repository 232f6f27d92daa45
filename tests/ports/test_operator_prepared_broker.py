"""
The operator's broker port with an ordinary user, on the fake and on a real RabbitMQ.

An administrator prepares virtual host, users and permissions with the same port.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from healthingest_operator.adapters.rabbitmq.amqp import place
from healthingest_operator.adapters.rabbitmq.broker import rabbitmq_broker
from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Broker, BrokerAccess, BrokerUser
from healthingest_operator.resources.prepared_topology import PreparedHost, declarations, lacking
from healthingest_operator.resources.topology import Kind, Login, Resource
from healthingest_operator.status import outside_causes as causes
from support.broken_dependencies import access_to_broker, assert_said
from support.operator_fakes import FakeBroker, broker_spec
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer

PASSWORD = "hush-hush a@b:c/%#d ü"
ALL = ".*"
NOTHING = "^$"
ONLY_PUBLISHES = (NOTHING, "^exchange$", NOTHING)
TITLES = {
    "exchange exchange",
    "exchange exchange.dead",
    "queue processing",
    "queue processing.dead",
}


@dataclass(frozen=True)
class Prepared:
    """A virtual host `host`, and a user of it; `broker` is the port under test."""

    broker: Broker
    admin: BrokerAccess
    user: BrokerUser
    host: str

    async def grant(self, configure: str, write: str, read: str) -> None:
        """Give the user these permissions in the virtual host."""
        values = {"configure": configure, "write": write, "read": read}
        name = self.user.username
        await self.broker.ensure(
            self.admin, self.host, Resource(Kind.PERMISSIONS, name, "permissions", values)
        )

    async def make(self, *names: str) -> None:
        """Create exchanges and queues as the broker's owner: classic queues without limits."""
        for name in names:
            is_exchange = name.startswith("exchange")
            kind = Kind.EXCHANGE if is_exchange else Kind.QUEUE
            values = {"type": "topic", "durable": True} if is_exchange else {"durable": True}
            await self.broker.ensure(self.admin, self.host, Resource(kind, name, name, values))

    async def declare(self, *, create: bool = True) -> PreparedHost:
        """Declare an exchange and a queue as the user."""
        return await self.broker.declare(self.user, self.host, self.resources, create=create)

    @property
    def resources(self) -> tuple[Resource, ...]:
        """The wanted resources."""
        return declarations(broker_spec(self.host, QueueSpec(name="processing")))


@pytest.fixture(name="prepared", params=["fake", "rabbitmq"])
async def _prepared(request: pytest.FixtureRequest) -> AsyncIterator[Prepared]:
    if request.param == "fake":
        broker = FakeBroker()
        admin = BrokerAccess("http://a:15672", "amqp://a:5672", "admin", "word")
        tags = {"tags": "", "description": ""}
        await broker.ensure(admin, "clinic", Resource(Kind.VIRTUAL_HOST, "clinic", "host", tags))
        yield await _with_user(broker, admin, "clinic")
        return
    server: RabbitMQServer = request.getfixturevalue("rabbitmq")
    async with rabbitmq_broker(10) as real:
        found = await _with_user(real, access_to_broker(server), server.virtual_host)
        yield found
        await real.remove_user(found.admin, found.user.username)


async def _with_user(broker: Broker, admin: BrokerAccess, host: str) -> Prepared:
    user = BrokerUser(admin.amqp_url, f"prepared-{free_port()}", PASSWORD)
    values = {"password": PASSWORD, "tags": ""}
    await broker.ensure(admin, host, Resource(Kind.USER, user.username, "user", values))
    return Prepared(broker, admin, user, host)


async def test_a_user_with_all_permissions_creates_everything_once(prepared: Prepared) -> None:
    """A second declaration creates nothing, and the bindings exist."""
    await prepared.grant(ALL, ALL, ALL)
    await prepared.broker.check_user(prepared.user)
    assert set((await prepared.declare(create=False)).absent) == TITLES
    first = await prepared.declare()
    assert set(first.created) == TITLES
    assert await prepared.declare() == PreparedHost()
    assert await prepared.declare(create=False) == PreparedHost()
    observed = await prepared.broker.observe(prepared.admin, prepared.host, [])
    assert {binding for binding in observed.bindings if binding[0]} >= {
        ("exchange", "processing", "health.processing.#"),
        ("exchange.dead", "processing.dead", "processing"),
    }
    limits = observed.queues["processing"]["arguments"]
    assert limits["x-queue-type"] == "quorum"
    assert limits["x-dead-letter-exchange"] == "exchange.dead"
    assert limits["x-delivery-limit"] == 20


async def test_a_prepared_topology_needs_permission_to_publish_only(prepared: Prepared) -> None:
    """The queue of the broker's owner is used as it is, and its bindings are not checked."""
    await prepared.grant(*ONLY_PUBLISHES)
    await prepared.make("exchange", "processing")
    found = await prepared.declare()
    assert found.may_publish
    assert found.created == ()
    assert lacking(broker_spec(prepared.host, QueueSpec(name="processing")), found) == ()
    assert found.unchecked == ("binding of queue processing to health.processing.#",)


async def test_what_is_missing_is_named(prepared: Prepared) -> None:
    """The user may create nothing."""
    await prepared.grant(*ONLY_PUBLISHES)
    found = await prepared.declare()
    assert set(found.absent) == TITLES
    spec = broker_spec(prepared.host, QueueSpec(name="processing"))
    assert set(lacking(spec, found)) == TITLES
    await prepared.make("exchange")
    found = await prepared.declare()
    assert set(found.absent) == TITLES - {"exchange exchange"}


async def test_a_user_that_may_create_queues_only_creates_these(prepared: Prepared) -> None:
    """The exchange is the owner's; the permissions for dead letters are needed too."""
    await prepared.make("exchange", "exchange.dead")
    queues = "^processing(\\.dead)?$"
    await prepared.grant(queues, f"{queues}|^exchange(\\.dead)?$", f"{queues}|^exchange(\\.dead)?$")
    found = await prepared.declare()
    assert set(found.created) == {"queue processing", "queue processing.dead"}
    assert found.unchecked == ()


async def test_a_user_that_may_not_publish_is_found(prepared: Prepared) -> None:
    """Without a message being published."""
    await prepared.make("exchange", "processing")
    await prepared.grant(NOTHING, NOTHING, NOTHING)
    assert not (await prepared.declare()).may_publish
    await prepared.grant(NOTHING, "^exchange$", "^exchange$")
    assert (await prepared.declare()).may_publish


async def test_a_wrong_login_is_told(prepared: Prepared) -> None:
    """The message has the user, and not the password."""
    wrong = BrokerUser(prepared.user.amqp_url, prepared.user.username, "hush-hush-wrong")
    for call in (
        prepared.broker.check_user(wrong),
        prepared.broker.declare(wrong, prepared.host, prepared.resources, create=True),
    ):
        with pytest.raises(DependencyError) as raised:
            await call
        where = place(wrong.amqp_url)
        assert_said(raised.value, causes.USER_LOGIN, where=where, user=wrong.username)


async def test_a_virtual_host_that_is_missing_or_closed_is_told(prepared: Prepared) -> None:
    """Each has its own cause."""
    named = {"where": place(prepared.user.amqp_url), "user": prepared.user.username}
    with pytest.raises(DependencyError) as raised:
        await prepared.declare()
    assert_said(raised.value, causes.PREPARED_HOST_DENIED, host=prepared.host, **named)
    with pytest.raises(DependencyError) as raised:
        await prepared.broker.declare(prepared.user, "nowhere", prepared.resources, create=True)
    assert_said(raised.value, causes.PREPARED_HOST_MISSING, host="nowhere", **named)


async def test_the_relay_logs_in_as_this_user(prepared: Prepared) -> None:
    """The login that the service gets is the one that was checked."""
    await prepared.grant(*ONLY_PUBLISHES)
    user = prepared.user
    login = Login(user.username, user.password, *ONLY_PUBLISHES)
    await prepared.broker.log_in(prepared.admin, prepared.host, login)


async def test_a_port_of_another_protocol_is_told(rabbitmq: RabbitMQServer) -> None:
    """As with an administrator."""
    user = BrokerUser(f"amqp://127.0.0.1:{rabbitmq.management_port}", "user", "hush-hush")
    async with rabbitmq_broker(10) as broker:
        with pytest.raises(DependencyError) as raised:
            await broker.check_user(user)
    assert_said(raised.value, causes.NOT_AMQP, where=place(user.amqp_url))


async def test_a_limit_of_the_virtual_host_is_told(rabbitmq: RabbitMQServer) -> None:
    """max-queues refuses a queue that the user may create."""
    async with rabbitmq_broker(10) as broker:
        prepared = await _with_user(broker, access_to_broker(rabbitmq), rabbitmq.virtual_host)
        await prepared.grant(ALL, ALL, ALL)
        limit = f"/api/vhost-limits/{rabbitmq.virtual_host}/max-queues"
        rabbitmq.call("PUT", limit, {"value": 1})
        try:
            with pytest.raises(DependencyError) as raised:
                await prepared.declare()
        finally:
            rabbitmq.call("DELETE", limit)
            await broker.remove_user(prepared.admin, prepared.user.username)
    assert raised.value.reason is causes.BROKER_LIMIT.reason
    assert "queue processing: queue limit" in raised.value.message
