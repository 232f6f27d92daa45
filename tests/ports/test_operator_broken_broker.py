"""Real faults of a broker or a cache have the reason and message of the table of causes."""

from collections.abc import AsyncIterator

import pytest

from healthingest_operator.adapters.rabbitmq.broker import RabbitMQBroker, rabbitmq_broker
from healthingest_operator.adapters.redis_cache import RedisCache
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.resources.topology import Kind, Login, Resource
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure
from support.broken_dependencies import SECONDS, SECRET, UNKNOWN_NAME, WrongPorts, assert_said
from support.broken_dependencies import access_to_broker as access
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer


@pytest.fixture(name="broker")
async def _broker() -> AsyncIterator[RabbitMQBroker]:
    async with rabbitmq_broker(SECONDS) as found:
        yield found


MANAGEMENT = [
    (f"http://{UNKNOWN_NAME}:1", causes.MANAGEMENT[ConnectionFailure.UNKNOWN_NAME]),
    ("http://127.0.0.1:{closed}", causes.MANAGEMENT[ConnectionFailure.REFUSED]),
    ("http://127.0.0.1:{silent}", causes.MANAGEMENT[ConnectionFailure.SILENT]),
    ("http://127.0.0.1:{postgres}", causes.MANAGEMENT[ConnectionFailure.CLOSED]),
    ("http://127.0.0.1:{tls_management}", causes.MANAGEMENT[ConnectionFailure.WANTS_TLS]),
    ("https://127.0.0.1:{tls_management}", causes.MANAGEMENT[ConnectionFailure.UNTRUSTED]),
    ("https://127.0.0.1:{management}", causes.MANAGEMENT[ConnectionFailure.NOT_TLS]),
    ("http://127.0.0.1:{s3}", causes.NOT_MANAGEMENT),
    ("http://127.0.0.1:{amqp}", causes.NOT_MANAGEMENT),
    ("http://127.0.0.1:{redis}", causes.MANAGEMENT[ConnectionFailure.CLOSED]),
]


@pytest.mark.parametrize(("url", "cause"), MANAGEMENT)
async def test_a_wrong_management_url_is_named(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer, wrong: WrongPorts, url: str, cause: Cause
) -> None:
    """Name, port, TLS on one side, or another service."""
    url = url.format(**vars(wrong))
    with pytest.raises(DependencyError) as raised:
        await broker.check(access(rabbitmq, management_url=url, password=SECRET))
    assert_said(
        raised.value, cause, where=f"RabbitMQ at {url.partition('://')[2]} (management API)"
    )


AMQP = [
    (f"amqp://{UNKNOWN_NAME}:1", causes.AMQP[ConnectionFailure.UNKNOWN_NAME]),
    ("amqp://127.0.0.1:{closed}", causes.AMQP[ConnectionFailure.REFUSED]),
    ("amqp://127.0.0.1:{silent}", causes.AMQP[ConnectionFailure.SILENT]),
    ("amqp://127.0.0.1:{postgres}", causes.AMQP[ConnectionFailure.CLOSED]),
    ("amqps://127.0.0.1:{tls_amqp}", causes.AMQP[ConnectionFailure.UNTRUSTED]),
    ("amqps://127.0.0.1:{amqp}", causes.AMQP[ConnectionFailure.NOT_TLS]),
    ("amqp://127.0.0.1:{tls_amqp}", causes.AMQP[ConnectionFailure.WANTS_TLS]),
    ("amqp://127.0.0.1:{management}", causes.NOT_AMQP),
    ("amqp://127.0.0.1:{redis}", causes.NOT_AMQP),
    ("amqp://127.0.0.1:{s3}", causes.NOT_AMQP),
]


@pytest.mark.parametrize(("url", "cause"), AMQP)
async def test_a_wrong_amqp_url_is_named(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer, wrong: WrongPorts, url: str, cause: Cause
) -> None:
    """As for the management URL."""
    url = url.format(**vars(wrong))
    with pytest.raises(DependencyError) as raised:
        await broker.check(access(rabbitmq, amqp_url=url))
    assert_said(raised.value, cause, where=f"RabbitMQ at {url.partition('://')[2]} (AMQP)")


async def test_a_wrong_login_of_the_administrator_is_named(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """Wrong password, and a user that is no administrator."""
    where = f"RabbitMQ at 127.0.0.1:{rabbitmq.management_port} (management API)"
    with pytest.raises(DependencyError) as raised:
        await broker.check(access(rabbitmq, password=SECRET))
    assert_said(raised.value, causes.MANAGEMENT_LOGIN, where=where, user=rabbitmq.username)
    rabbitmq.call("PUT", "/api/users/plain", {"password": SECRET, "tags": "management"})
    with pytest.raises(DependencyError) as raised:
        await broker.check(access(rabbitmq, username="plain", password=SECRET))
    rabbitmq.call("DELETE", "/api/users/plain")
    assert_said(raised.value, causes.NO_ADMINISTRATOR, user="plain")


async def test_an_alarm_of_the_broker_is_named(
    broker: RabbitMQBroker, own_rabbitmq: RabbitMQServer
) -> None:
    """Publishers are blocked meanwhile; afterwards it is ready."""
    with own_rabbitmq.memory_alarm():
        with pytest.raises(DependencyError) as raised:
            await broker.check(access(own_rabbitmq))
        where = f"RabbitMQ at 127.0.0.1:{own_rabbitmq.management_port} (management API)"
        assert_said(raised.value, causes.BROKER_ALARM, where=where, alarms="memory")
        with pytest.raises(DependencyError) as raised:
            await broker.fingerprint(access(own_rabbitmq), own_rabbitmq.virtual_host, [])
        assert raised.value.reason is causes.BROKER_ALARM.reason
    await broker.check(access(own_rabbitmq))


def add_relay(server: RabbitMQServer) -> Login:
    """A user as the operator makes it."""
    login = Login(f"{server.virtual_host}.relay", SECRET, "^$", "^x$", "^$")
    server.call("PUT", f"/api/users/{login.name}", {"password": login.password, "tags": ""})
    rights = {"configure": login.configure, "write": login.write, "read": login.read}
    server.call("PUT", f"/api/permissions/{server.virtual_host}/{login.name}", rights)
    return login


LIMITS = [
    ("vhost-limits/{host}/max-connections", "connection limit (0)"),
    ("user-limits/{user}/max-connections", "connection limit (0)"),
    ("user-limits/{user}/max-channels", "maximum allowed user limit of (0)"),
]


@pytest.mark.parametrize(("limit", "said"), LIMITS)
async def test_a_limit_that_stops_the_relay_is_named(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer, limit: str, said: str
) -> None:
    """
    It is found by logging in as the relay does.

    The broker's fingerprint changes, so external checks find it.
    """
    login = add_relay(rabbitmq)
    how = access(rabbitmq)
    host = rabbitmq.virtual_host
    before = await broker.fingerprint(how, host, [login.name])
    await broker.log_in(how, host, login)
    rabbitmq.call("PUT", f"/api/{limit.format(host=host, user=login.name)}", {"value": 0})
    async with rabbitmq_broker(SECONDS) as unknowing:
        with pytest.raises(DependencyError) as raised:
            await unknowing.log_in(how, host, login)
        assert await unknowing.fingerprint(how, host, [login.name]) != before
    rabbitmq.call("DELETE", f"/api/users/{login.name}")
    where = f"RabbitMQ at 127.0.0.1:{rabbitmq.amqp_port} (AMQP)"
    assert_said(
        raised.value, causes.CONNECTION_LIMIT, where=where, user=login.name, host=host, limit=said
    )


async def test_a_relay_that_is_refused_is_named(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """A wrong password, no rights in the virtual host, and no answer."""
    login = add_relay(rabbitmq)
    how = access(rabbitmq)
    host = rabbitmq.virtual_host
    where = f"RabbitMQ at 127.0.0.1:{rabbitmq.amqp_port} (AMQP)"
    with pytest.raises(DependencyError) as raised:
        await broker.log_in(how, host, Login(login.name, f"{SECRET}-other", "", "", ""))
    assert_said(raised.value, causes.RELAY_LOGIN, where=where, user=login.name)
    rabbitmq.call("DELETE", f"/api/permissions/{host}/{login.name}")
    with pytest.raises(DependencyError) as raised:
        await broker.log_in(how, host, login)
    assert_said(raised.value, causes.VIRTUAL_HOST_REFUSED, where=where, user=login.name, host=host)
    rabbitmq.call("DELETE", f"/api/users/{login.name}")
    closed = free_port()
    with pytest.raises(DependencyError) as raised:
        await broker.log_in(access(rabbitmq, amqp_url=f"amqp://127.0.0.1:{closed}"), host, login)
    assert_said(
        raised.value,
        causes.AMQP[ConnectionFailure.REFUSED],
        where=f"RabbitMQ at 127.0.0.1:{closed} (AMQP)",
    )


async def test_a_virtual_host_that_is_down_is_named(
    broker: RabbitMQBroker, own_rabbitmq: RabbitMQServer
) -> None:
    """As after a fault in its message store; its login and rights are there."""
    login = add_relay(own_rabbitmq)
    how = access(own_rabbitmq)
    host = own_rabbitmq.virtual_host
    await broker.log_in(how, host, login)
    own_rabbitmq.control("eval", f'rabbit_vhost_sup_sup:delete_on_all_nodes(<<"{host}">>).')
    async with rabbitmq_broker(SECONDS) as unknowing:
        with pytest.raises(DependencyError) as raised:
            await unknowing.log_in(how, host, login)
    own_rabbitmq.control("restart_vhost", "--vhost", host)
    own_rabbitmq.call("DELETE", f"/api/users/{login.name}")
    where = f"RabbitMQ at 127.0.0.1:{own_rabbitmq.amqp_port} (AMQP)"
    assert_said(raised.value, causes.VIRTUAL_HOST_REFUSED, where=where, user=login.name, host=host)


async def test_a_limit_of_queues_is_named(broker: RabbitMQBroker, rabbitmq: RabbitMQServer) -> None:
    """The message has the broker's own number."""
    rabbitmq.call("PUT", f"/api/vhost-limits/{rabbitmq.virtual_host}/max-queues", {"value": 0})
    body = {"durable": True, "auto_delete": False, "arguments": {"x-queue-type": "quorum"}}
    with pytest.raises(DependencyError) as raised:
        await broker.ensure(
            access(rabbitmq),
            rabbitmq.virtual_host,
            Resource(Kind.QUEUE, "processing", "queue processing", body),
        )
    where = f"RabbitMQ at 127.0.0.1:{rabbitmq.management_port} (management API)"
    assert_said(
        raised.value,
        causes.BROKER_LIMIT,
        where=where,
        what="queue processing",
        limit="queue limit (0)",
    )


CACHE = [
    (f"redis://{UNKNOWN_NAME}:1", causes.CACHE[ConnectionFailure.UNKNOWN_NAME]),
    ("redis://127.0.0.1:{closed}", causes.CACHE[ConnectionFailure.REFUSED]),
    ("redis://127.0.0.1:{silent}", causes.CACHE[ConnectionFailure.SILENT]),
    ("rediss://127.0.0.1:{redis}", causes.CACHE[ConnectionFailure.NOT_TLS]),
    ("rediss://127.0.0.1:{tls_management}", causes.CACHE[ConnectionFailure.UNTRUSTED]),
    ("redis://127.0.0.1:{tls_management}", causes.CACHE[ConnectionFailure.WANTS_TLS]),
    ("redis://127.0.0.1:{management}", causes.NOT_REDIS),
    ("redis://nobody:hush-hush@127.0.0.1:{redis}", causes.CACHE_LOGIN),
    ("redis://127.0.0.1:{redis}/4711", causes.CACHE_REFUSES),
]


@pytest.mark.parametrize(("url", "cause"), CACHE)
async def test_a_cache_that_does_not_work_is_named(
    wrong: WrongPorts, url: str, cause: Cause
) -> None:
    """Name, port, TLS on one side, login, database, another service."""
    url = url.format(**vars(wrong))
    with pytest.raises(DependencyError) as raised:
        await RedisCache(SECONDS).check(url)
    place = url.partition("://")[2].rpartition("@")[2].partition("/")[0]
    assert_said(raised.value, cause, where=f"Redis at {place}")


async def test_a_cache_that_works_is_well(redis_server: RedisServer) -> None:
    """The answer is shared for some seconds: a second check sends no request."""
    cache = RedisCache(SECONDS)
    await cache.check(redis_server.url)
    await cache.check(redis_server.url)
