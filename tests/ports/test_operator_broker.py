"""The operator's broker port on a real RabbitMQ."""

import asyncio
from collections.abc import AsyncIterator

import aio_pika
import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.rabbitmq.broker import RabbitMQBroker, rabbitmq_broker
from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.resources import pruning, topology
from support.broken_dependencies import access_to_broker as access
from support.deadlines import HANG_SECONDS
from support.operator_fakes import broker_spec
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer


@pytest.fixture(name="broker")
async def _broker() -> AsyncIterator[RabbitMQBroker]:
    async with rabbitmq_broker(10) as found:
        yield found


def wanted(server: RabbitMQServer) -> topology.Topology:
    """
    Two queues in the test's own virtual host, and users of its name.

    Users belong to the whole broker.
    """
    host = server.virtual_host
    queues = (
        QueueSpec(name="processing"),
        QueueSpec(name="other.queue", bindings=("a.#", "b"), delivery_limit=3),
    )
    spec = broker_spec(server.virtual_host, *queues)
    return topology.topology(
        spec,
        "space/name",
        server.username,
        {f"{host}.relay": "relay-password"},
        {f"{host}.consumer": "consumer-password"},
    )


async def complete(broker: RabbitMQBroker, server: RabbitMQServer) -> list[str]:
    """Observe, plan, act; return the actions."""
    goal = wanted(server)
    users = [login.name for login in goal.logins]
    plan = topology.plan(
        goal, await broker.observe(access(server), server.virtual_host, [*users, server.username])
    )
    assert plan.conflicts == ()
    for resource in plan.resources:
        await broker.ensure(access(server), server.virtual_host, resource)
    return [resource.title for resource in plan.resources]


async def test_a_topology_is_made_once(broker: RabbitMQBroker, rabbitmq: RabbitMQServer) -> None:
    """A second check finds everything, as this version of RabbitMQ reports it."""
    await broker.check(access(rabbitmq))
    assert await complete(broker, rabbitmq)
    assert await complete(broker, rabbitmq) == []
    for login in wanted(rabbitmq).logins:
        await broker.remove_user(access(rabbitmq), login.name)


async def test_a_virtual_host_is_made_and_removed(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """It is created with the owner's mark; removing it twice is safe."""
    server = RabbitMQServer(
        rabbitmq.amqp_port, rabbitmq.management_port, f"{rabbitmq.virtual_host}-made"
    )
    try:
        await complete(broker, server)
        observed = await broker.observe(access(server), server.virtual_host, [])
        assert observed.owner == "space/name"
        assert await complete(broker, server) == []
    finally:
        for _ in range(2):
            for login in wanted(server).logins:
                await broker.remove_user(access(server), login.name)
            await broker.remove_virtual_host(access(server), server.virtual_host)
    assert (await broker.observe(access(server), server.virtual_host, [])).virtual_host is None


async def test_what_somebody_changed_is_seen(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """A removed binding, a changed policy and a changed password are found, and nothing else."""
    await complete(broker, rabbitmq)
    host = rabbitmq.virtual_host
    goal = wanted(rabbitmq)
    rabbitmq.call("DELETE", f"/api/bindings/{host}/e/exchange/q/other.queue/b")
    rabbitmq.call("DELETE", f"/api/policies/{host}/healthingest-processing")
    rabbitmq.call("PUT", f"/api/users/{goal.logins[0].name}", {"password": "other", "tags": ""})
    assert set(await complete(broker, rabbitmq)) == {
        "binding of queue other.queue",
        "policy of queue processing",
        f"user {goal.logins[0].name}",
    }
    for login in goal.logins:
        await broker.remove_user(access(rabbitmq), login.name)


async def test_what_is_no_longer_wanted_goes(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """
    Bindings with any characters and arguments, policies, and queues without messages.

    A queue with a message is kept.
    """
    await complete(broker, rabbitmq)
    host = rabbitmq.virtual_host
    how = access(rabbitmq)
    rabbitmq.call(
        "POST", f"/api/bindings/{host}/e/exchange/q/processing", {"routing_key": "odd_%/#.*"}
    )
    more = {"routing_key": "odd_%/#.*", "arguments": {"a": 1}}
    rabbitmq.call("POST", f"/api/bindings/{host}/e/exchange/q/processing", more)
    goal = topology.topology(
        broker_spec(host, QueueSpec(name="kept")),
        "o",
        "guest",
        {"r": "r"},
        {"c": "c"},
    )

    async def prune() -> pruning.Superfluous:
        found = pruning.superfluous(goal, await broker.observe(how, host, []))
        for binding in found.bindings:
            await broker.remove_binding(how, host, binding)
        for queue in found.policies:
            await broker.remove_policy(how, host, queue)
        return found

    first = await prune()
    assert len(first.bindings) + len(first.policies) == 5
    observed = await broker.observe(how, host, [])
    assert not [binding for binding in observed.bindings if binding[0] == "exchange"]
    message = {
        "routing_key": "processing",
        "payload": "m",
        "payload_encoding": "string",
        "properties": {},
    }
    rabbitmq.call("POST", f"/api/exchanges/{host}/amq.default/publish", message)
    assert not await broker.remove_queue_if_empty(how, host, "processing")
    assert await broker.remove_queue_if_empty(how, host, "other.queue")
    assert await broker.remove_queue_if_empty(how, host, "other.queue")
    await prune()
    observed = await broker.observe(how, host, [])
    assert set(observed.queues) == {"processing", "processing.dead", "other.queue.dead"}
    assert "healthingest-other.queue" not in observed.policies
    for login in wanted(rabbitmq).logins:
        await broker.remove_user(how, login.name)


MODULES = [
    "rabbit_password_hashing_sha512",
    "rabbit_password_hashing_sha256",
    "rabbit_password_hashing_md5",
]


@pytest.mark.parametrize("module", MODULES)
async def test_every_way_to_hash_passwords_is_known(
    broker: RabbitMQBroker, own_rabbitmq: RabbitMQServer, module: str
) -> None:
    """
    For each `password_hashing_module` of the broker.

    Users are created once, a wrong password is found, and the right one logs in.
    """
    own_rabbitmq.control("eval", f"application:set_env(rabbit, password_hashing_module, {module}).")
    try:
        goal = wanted(own_rabbitmq)
        await complete(broker, own_rabbitmq)
        assert await complete(broker, own_rabbitmq) == []
        relay = goal.logins[0].name
        observed = await broker.observe(access(own_rabbitmq), own_rabbitmq.virtual_host, [relay])
        assert observed.users[relay]["hashing_algorithm"] == module
        assert not topology.is_password(observed.users[relay], "other")
        await broker.log_in(access(own_rabbitmq), own_rabbitmq.virtual_host, goal.logins[0])
    finally:
        own_rabbitmq.control(
            "eval", f"application:set_env(rabbit, password_hashing_module, {MODULES[1]})."
        )
        for login in wanted(own_rabbitmq).logins:
            await broker.remove_user(access(own_rabbitmq), login.name)


async def test_a_classic_queue_is_a_conflict(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """It is found before anything is declared."""
    rabbitmq.call("PUT", f"/api/queues/{rabbitmq.virtual_host}/processing", {"durable": True})
    observed = await broker.observe(access(rabbitmq), rabbitmq.virtual_host, [])
    assert "queue processing" in topology.plan(wanted(rabbitmq), observed).conflicts[0]


async def test_faults_have_names(broker: RabbitMQBroker, rabbitmq: RabbitMQServer) -> None:
    """
    A wrong password, a closed port, a port of another protocol.

    No message contains the password.
    """
    cases = {
        Reason.AUTHENTICATION_FAILED: access(rabbitmq, password="hush-hush"),
        Reason.UNREACHABLE: access(
            rabbitmq, management_url=f"http://127.0.0.1:{free_port()}", password="hush-hush"
        ),
        Reason.WRONG_PROTOCOL: access(
            rabbitmq, amqp_url=f"amqp://127.0.0.1:{rabbitmq.management_port}"
        ),
    }
    for reason, how in cases.items():
        with pytest.raises(DependencyError) as raised:
            await broker.check(how)
        assert raised.value.reason is reason, raised.value.message
        assert "hush" not in raised.value.message


async def test_a_plain_user_is_no_administrator(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """The message says which tag is missing."""
    rabbitmq.call("PUT", "/api/users/plain", {"password": "plain", "tags": "management"})
    with pytest.raises(DependencyError) as raised:
        await broker.check(access(rabbitmq, username="plain", password="plain"))
    rabbitmq.call("DELETE", "/api/users/plain")
    assert raised.value.reason is Reason.PERMISSION_DENIED
    assert "administrator" in raised.value.message


async def test_a_removed_user_is_refused_and_cut_off(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """
    The other user of the two works meanwhile.

    The broker itself closes a connection of the old user.
    """
    host = rabbitmq.virtual_host
    how = access(rabbitmq)
    spec = broker_spec(host, QueueSpec(name="processing"))
    both = {f"{host}.relay": "old-password", f"{host}.relay-b": "new-password"}
    goal = topology.topology(spec, "space/name", rabbitmq.username, both, {})
    observed = await broker.observe(how, host, [*both, rabbitmq.username])
    for resource in topology.plan(goal, observed).resources:
        await broker.ensure(how, host, resource)
    assert topology.missing_logins(goal, await broker.observe(how, host, list(both))) == []

    def address(user: str) -> str:
        return f"amqp://{user}:{both[user]}@{rabbitmq.broker_url.removeprefix('amqp://')}/{host}"

    old, new = [await aio_pika.connect(address(user), timeout=10) for user in both]
    closed = asyncio.Event()
    old.close_callbacks.add(lambda *_: closed.set())
    await broker.remove_user(how, f"{host}.relay")
    async with asyncio.timeout(HANG_SECONDS):
        await closed.wait()
    with pytest.raises((aio_pika.exceptions.AMQPError, ConnectionError)):
        await aio_pika.connect(address(f"{host}.relay"), timeout=10)
    assert not new.is_closed
    await (await new.channel()).close()
    await new.close()
    await broker.remove_user(how, f"{host}.relay-b")
