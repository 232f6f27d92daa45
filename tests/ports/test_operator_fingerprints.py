"""Fingerprints on a real broker and a real store: each change gives another one."""

from collections.abc import AsyncIterator, Callable

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.rabbitmq import fingerprints
from healthingest_operator.adapters.rabbitmq.broker import RabbitMQBroker, rabbitmq_broker
from healthingest_operator.adapters.s3 import clients as s3_clients
from healthingest_operator.adapters.s3.store import S3ObjectStore, s3_object_store
from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess, StoreAccess
from healthingest_operator.resources import bucket, topology
from support.operator_fakes import broker_spec
from support.servers.process import free_port
from support.servers.rabbitmq import RabbitMQServer
from support.servers.versitygw import S3Server

USER = "fingerprint.relay"


@pytest.fixture(name="broker")
async def _broker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RabbitMQBroker]:
    """A broker adapter without cached answers."""
    monkeypatch.setattr(fingerprints, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(fingerprints, "_READS_IN_ONE_OF", 0)
    async with rabbitmq_broker(10) as found:
        yield found


@pytest.fixture(name="store")
async def _store() -> AsyncIterator[S3ObjectStore]:
    async with s3_object_store(10) as found:
        yield found


def broker_access(server: RabbitMQServer, password: str | None = None) -> BrokerAccess:
    """Return the content of a platform team's Secret."""
    return BrokerAccess(
        server.management_url, server.broker_url, server.username, password or server.password
    )


def store_access(server: S3Server, secret: str | None = None) -> StoreAccess:
    """The server's own credentials."""
    keys = server.access_key_id, secret or server.secret_access_key
    return StoreAccess(server.endpoint, server.region, server.bucket, *keys)


def _changes(server: RabbitMQServer) -> list[Callable[[], None]]:
    """Yield a change of everything that the operator creates."""
    host = server.virtual_host
    return [
        lambda: server.call("DELETE", f"/api/queues/{host}/processing"),
        lambda: server.call("DELETE", f"/api/policies/{host}/healthingest-processing"),
        lambda: server.call("PUT", f"/api/users/{USER}", {"password": "another", "tags": ""}),
        lambda: server.call("DELETE", f"/api/permissions/{host}/{USER}"),
        lambda: server.call("DELETE", f"/api/exchanges/{host}/exchange"),
        lambda: server.call("PUT", f"/api/vhosts/{host}", {"tags": "somebody"}),
        lambda: server.call("DELETE", f"/api/vhosts/{host}"),
    ]


async def test_every_change_of_a_virtual_host_shows(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """
    A removed queue, policy, right or exchange, another password or tag.

    Messages do not change it.
    """
    how = broker_access(rabbitmq)
    with rabbitmq.new_virtual_host() as server:
        spec = broker_spec(server.virtual_host, QueueSpec(name="processing"))
        goal = topology.topology(spec, "space/name", server.username, {USER: "password"}, {})
        users = [USER, server.username]
        observed = await broker.observe(how, server.virtual_host, users)
        for resource in topology.plan(goal, observed).resources:
            await broker.ensure(how, server.virtual_host, resource)
        seen = [await broker.fingerprint(how, server.virtual_host, users)]
        message = {
            "routing_key": "processing",
            "payload": "m",
            "payload_encoding": "string",
            "properties": {},
        }
        server.call("POST", f"/api/exchanges/{server.virtual_host}/amq.default/publish", message)
        assert await broker.fingerprint(how, server.virtual_host, users) == seen[0]
        for change in _changes(server):
            change()
            seen.append(await broker.fingerprint(how, server.virtual_host, users))
        assert len(set(seen)) == len(seen)
        server.call("PUT", f"/api/vhosts/{server.virtual_host}", {})
    server.call("DELETE", f"/api/users/{USER}")


async def test_a_broker_that_refuses_has_no_fingerprint(
    broker: RabbitMQBroker, rabbitmq: RabbitMQServer
) -> None:
    """The error is named, without the password."""
    with pytest.raises(DependencyError) as raised:
        await broker.fingerprint(broker_access(rabbitmq, "hush-hush"), rabbitmq.virtual_host, [])
    assert raised.value.reason is Reason.AUTHENTICATION_FAILED
    assert "hush" not in raised.value.message


async def test_a_broker_is_asked_once_for_all(rabbitmq: RabbitMQServer) -> None:
    """Within some seconds the answer is cached; so is an error."""
    async with rabbitmq_broker(10) as broker:
        how = broker_access(rabbitmq)
        users = [rabbitmq.username]
        before = await broker.fingerprint(how, rabbitmq.virtual_host, users)
        rabbitmq.call(
            "PUT",
            f"/api/exchanges/{rabbitmq.virtual_host}/more",
            {"type": "topic", "durable": True},
        )
        assert await broker.fingerprint(how, rabbitmq.virtual_host, users) == before
        assert await broker.fingerprint(how, "another", users) != before


async def test_every_change_of_a_bucket_shows(store: S3ObjectStore, s3_server: S3Server) -> None:
    """
    A tag that is set, changed or removed, and a removed bucket.

    Checks do not change it.
    """
    where = store_access(s3_server)
    seen = []
    for tags in ({}, {"a": "1", "b": "2"}, {"a": "2", "b": "1"}):
        await store.carry_out(where, bucket.Step(bucket.Capability.TAGGING, tags))
        seen.append(await store.fingerprint(where))
        assert {await store.fingerprint(where) for _ in range(5)} == {seen[-1]}
    assert len(set(seen)) == len(seen)
    await store.remove(where)
    with pytest.raises(DependencyError):
        await store.fingerprint(where)


async def test_clients_stay_open_but_not_all(
    store: S3ObjectStore, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """
    One for each login; the least recently used is closed.

    A client in use is never closed.
    """
    monkeypatch.setattr(s3_clients, "MOST_CLIENTS", 1)
    clients = store._clients
    async with clients.of(store_access(s3_server)) as first:
        async with clients.of(store_access(s3_server)) as again:
            assert again is first
        async with clients.of(store_access(s3_server, "another")):
            pass
        await first.head_bucket(Bucket=s3_server.bucket)
    assert len(clients._clients) == 1


@pytest.mark.parametrize("change", [{"secret": "hush-hush"}, {"port": 0}])
async def test_a_store_that_refuses_has_no_fingerprint(
    store: S3ObjectStore, s3_server: S3Server, change: dict[str, str | int]
) -> None:
    """A wrong key, and a closed port; no message contains the key."""
    where = store_access(s3_server, "hush-hush" if "secret" in change else None)
    if "port" in change:
        where = StoreAccess(
            f"http://127.0.0.1:{free_port()}", "us-east-1", s3_server.bucket, "a", "hush-hush"
        )
    with pytest.raises(DependencyError) as raised:
        await store.fingerprint(where)
    assert raised.value.reason is (
        Reason.AUTHENTICATION_FAILED if "secret" in change else Reason.UNREACHABLE
    )
    assert "hush" not in raised.value.message
