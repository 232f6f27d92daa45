"""The operator's adapters behind TLS with a private certificate authority."""

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from healthingest_contract.conditions import Reason
from healthingest_contract.tls import TlsMaterial
from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_operator.adapters.rabbitmq.amqp import speak_amqp
from healthingest_operator.adapters.rabbitmq.broker import rabbitmq_broker
from healthingest_operator.adapters.redis_cache import RedisCache
from healthingest_operator.adapters.s3.store import s3_object_store
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.connection_causes import ConnectionFailure, Connections
from support.broken_dependencies import SECONDS, access_to_broker, assert_said
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer
from support.servers.tls import Authority, front_of, tls_front
from support.servers.versitygw import S3Server

Use = Callable[[int, TlsMaterial], Coroutine[object, object, None]]
"""Use a dependency at a port of 127.0.0.1, with these certificates."""
KINDS = ("database", "management", "amqp", "store", "fingerprint", "cache")
CAUSES: dict[str, tuple[Connections, str]] = {
    "database": (causes.DATABASE, "PostgreSQL at 127.0.0.1:{port}"),
    "management": (causes.MANAGEMENT, "RabbitMQ at 127.0.0.1:{port} (management API)"),
    "amqp": (causes.AMQP, "RabbitMQ at 127.0.0.1:{port} (AMQP)"),
    "store": (causes.STORE, "the object store at 127.0.0.1:{port}"),
    "fingerprint": (causes.STORE, "the object store at 127.0.0.1:{port}"),
    "cache": (causes.CACHE, "Redis at 127.0.0.1:{port}"),
}


@pytest.fixture(name="authority", scope="module")
def _authority() -> Authority:
    return Authority()


@pytest.fixture(name="dependency", params=KINDS)
def _dependency(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, Use]]:
    kind: str = request.param
    if kind == "database":
        database: PostgresServer = request.getfixturevalue("postgres")
        yield kind, database.port, _database(database)
    elif kind == "management":
        broker: RabbitMQServer = request.getfixturevalue("rabbitmq_server")
        yield kind, broker.management_port, _management(broker)
    elif kind == "amqp":
        broker = request.getfixturevalue("rabbitmq_server")
        yield kind, broker.amqp_port, _amqp(broker)
    elif kind == "cache":
        cache: RedisServer = request.getfixturevalue("redis_server")
        yield kind, cache.port, _cache(cache)
    else:
        store: S3Server = request.getfixturevalue("s3_server")
        yield kind, urlsplit(store.endpoint).port or 0, _store(store, kind)


def _database(server: PostgresServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        url = server.url.replace(f":{server.port}", f":{port}")
        await PostgresDatabase(SECONDS).check(url, tls=tls)

    return use


def _management(server: RabbitMQServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        access = access_to_broker(server, management_url=f"https://127.0.0.1:{port}")
        async with rabbitmq_broker(SECONDS) as broker:
            await broker.check(replace(access, tls=tls))

    return use


def _amqp(server: RabbitMQServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        access = access_to_broker(server, amqp_url=f"amqps://127.0.0.1:{port}")
        await speak_amqp(replace(access, tls=tls), SECONDS)

    return use


def _store(server: S3Server, kind: str) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        access = StoreAccess(
            f"https://127.0.0.1:{port}",
            server.region,
            server.bucket,
            server.access_key_id,
            server.secret_access_key,
            tls,
        )
        async with s3_object_store(SECONDS) as store:
            await (store.check(access) if kind == "store" else store.fingerprint(access))

    return use


def _cache(server: RedisServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        url = server.url.replace("redis:", "rediss:").replace(f":{server.port}", f":{port}")
        await RedisCache(SECONDS).check(url, tls)

    return use


async def test_a_bundle_makes_a_private_authority_trusted(
    dependency: tuple[str, int, Use], authority: Authority, tmp_path: Path
) -> None:
    """The connection succeeds; the bundle may have other authorities, too."""
    kind, inner, use = dependency
    context = authority.issue().server_context(tmp_path)
    async with front_of(kind, inner, context) as port:
        await use(port, TlsMaterial(Authority().bundle + authority.bundle))


@pytest.mark.parametrize(
    ("host", "days", "own", "failure", "reason"),
    [
        ("127.0.0.1", 1, False, ConnectionFailure.UNTRUSTED, Reason.CERTIFICATE_UNTRUSTED),
        ("127.0.0.1", -1, True, ConnectionFailure.EXPIRED, Reason.CERTIFICATE_EXPIRED),
        ("a.test", 1, True, ConnectionFailure.NAME_MISMATCH, Reason.CERTIFICATE_NAME_MISMATCH),
    ],
)
async def test_a_refused_certificate_is_named_with_host_and_remedy(
    dependency: tuple[str, int, Use],
    authority: Authority,
    tmp_path: Path,
    host: str,
    days: int,
    failure: ConnectionFailure,
    reason: Reason,
    *,
    own: bool,
) -> None:
    """An authority that is not in the bundle, an expired certificate, and one for another host."""
    kind, inner, use = dependency
    signer = authority if own else Authority()
    context = signer.issue(host, days=days).server_context(tmp_path)
    async with front_of(kind, inner, context) as port:
        with pytest.raises(DependencyError) as raised:
            await use(port, TlsMaterial(authority.bundle))
        rows, where = CAUSES[kind]
        assert_said(raised.value, rows[failure], where=where.format(port=port))
        assert raised.value.reason is reason


async def test_without_a_bundle_a_private_authority_is_not_trusted(
    dependency: tuple[str, int, Use], authority: Authority, tmp_path: Path
) -> None:
    """Except by PostgreSQL, whose address without `sslmode` verifies nothing."""
    kind, inner, use = dependency
    context = authority.issue().server_context(tmp_path)
    async with front_of(kind, inner, context) as port:
        if kind == "database":
            await use(port, TlsMaterial())
            return
        with pytest.raises(DependencyError) as raised:
            await use(port, TlsMaterial())
    assert raised.value.reason is Reason.CERTIFICATE_UNTRUSTED


@pytest.mark.parametrize("dependency", ["database", "amqp"], indirect=True)
async def test_the_client_presents_its_certificate(
    dependency: tuple[str, int, Use], authority: Authority, tmp_path: Path
) -> None:
    """A server that requires a certificate accepts the client with it, and refuses it without."""
    kind, inner, use = dependency
    context = authority.issue().server_context(tmp_path, clients=authority)
    client = authority.issue("operator")
    async with front_of(kind, inner, context) as port:
        await use(port, TlsMaterial(authority.bundle, client.certificate, client.key))
        with pytest.raises(DependencyError):
            await use(port, TlsMaterial(authority.bundle))


async def test_a_database_without_tls_is_refused_where_a_bundle_applies(
    postgres: PostgresServer, authority: Authority
) -> None:
    """The message says how to turn TLS off, and `sslmode=disable` does."""
    tls = TlsMaterial(authority.bundle)
    with pytest.raises(DependencyError) as raised:
        await PostgresDatabase(SECONDS).check(postgres.url, tls=tls)
    assert_said(
        raised.value,
        causes.DATABASE[ConnectionFailure.NOT_TLS],
        where=f"PostgreSQL at 127.0.0.1:{postgres.port}",
    )
    await PostgresDatabase(SECONDS).check(f"{postgres.url}?sslmode=disable", tls=tls)


_CHECK = """
import asyncio, sys
from healthingest_operator.adapters.rabbitmq.broker import rabbitmq_broker
from healthingest_operator.adapters.s3.store import s3_object_store
from healthingest_operator.reconcile.ports import BrokerAccess, StoreAccess

async def main():
    endpoint, region, bucket, key_id, secret, management, amqp, user, password = sys.argv[1:]
    access = StoreAccess(endpoint, region, bucket, key_id, secret)
    async with s3_object_store(5) as store, rabbitmq_broker(5) as broker:
        await store.check(access)
        await store.fingerprint(access)
        await broker.check(BrokerAccess(management, amqp, user, password))

asyncio.run(main())
"""


async def test_the_variables_of_the_chart_make_an_authority_trusted(
    s3_server: S3Server, rabbitmq_server: RabbitMQServer, authority: Authority, tmp_path: Path
) -> None:
    """`SSL_CERT_FILE` and `AWS_CA_BUNDLE` serve HealthIngests without a bundle; each is needed."""
    bundle = tmp_path / "ca.crt"
    bundle.write_bytes(authority.bundle)
    context = authority.issue().server_context(tmp_path)
    names = ("SSL_CERT_FILE", "AWS_CA_BUNDLE")
    async with (
        tls_front(urlsplit(s3_server.endpoint).port or 0, context) as s3,
        tls_front(rabbitmq_server.management_port, context) as management,
        tls_front(rabbitmq_server.amqp_port, context) as amqp,
    ):
        words = (
            f"https://127.0.0.1:{s3}",
            s3_server.region,
            s3_server.bucket,
            s3_server.access_key_id,
            s3_server.secret_access_key,
            f"https://127.0.0.1:{management}",
            f"amqps://127.0.0.1:{amqp}",
            rabbitmq_server.username,
            rabbitmq_server.password,
        )
        for chosen in (names, names[:1], names[1:]):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _CHECK,
                *words,
                env={**os.environ, **dict.fromkeys(chosen, str(bundle))},
                stderr=asyncio.subprocess.DEVNULL,
            )
            async with asyncio.timeout(60):
                status = await process.wait()
            assert (status == 0) is (chosen == names), chosen


async def test_another_bundle_is_used_at_once_by_open_adapters(
    s3_server: S3Server,
    rabbitmq_server: RabbitMQServer,
    authority: Authority,
    tmp_path: Path,
) -> None:
    """A store or broker that was trusted is refused with a bundle without its authority."""
    context = authority.issue().server_context(tmp_path)
    good = TlsMaterial(authority.bundle)
    other = TlsMaterial(Authority().bundle)
    s3_port = urlsplit(s3_server.endpoint).port or 0
    async with (
        tls_front(s3_port, context) as s3,
        tls_front(rabbitmq_server.management_port, context) as management,
        s3_object_store(SECONDS) as store,
        rabbitmq_broker(SECONDS) as broker,
    ):
        bucket = StoreAccess(
            f"https://127.0.0.1:{s3}",
            s3_server.region,
            s3_server.bucket,
            s3_server.access_key_id,
            s3_server.secret_access_key,
            good,
        )
        access = replace(
            access_to_broker(rabbitmq_server, management_url=f"https://127.0.0.1:{management}"),
            tls=good,
        )
        await store.check(bucket)
        await store.fingerprint(bucket)
        await broker.check(access)
        for again in (
            store.check(replace(bucket, tls=other)),
            store.fingerprint(replace(bucket, tls=other)),
            broker.check(replace(access, tls=other)),
        ):
            with pytest.raises(DependencyError) as raised:
                await again
            assert raised.value.reason is Reason.CERTIFICATE_UNTRUSTED
        await store.check(bucket)
