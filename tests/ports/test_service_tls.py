"""The service's adapters behind TLS with a private certificate authority."""

import ssl
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from healthingest_contract.stop_causes import StopCause
from healthingest_contract.tls import CertificateProblem, TlsMaterial, certificate_problem
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.stop_causes import database_cause
from healthingest_service.adapters.rabbitmq import open_publisher
from healthingest_service.adapters.redis import open_redis
from healthingest_service.adapters.s3.client import call_once, open_client
from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.throttling import Charge, Rate, Rule
from healthingest_service.uploads.errors import (
    BrokerUnreachableError,
    LedgerUnavailableError,
    StoreUnavailableError,
)
from support.login_rules import LOGIN_RULES
from support.s3 import access_to
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.redis import RedisServer
from support.servers.tls import Authority, front_of
from support.servers.versitygw import S3Server

UNAVAILABLE = (
    BrokerUnreachableError,
    LedgerUnavailableError,
    LimiterUnavailableError,
    StoreUnavailableError,
)
Use = Callable[[int, TlsMaterial], Coroutine[object, object, None]]
"""Use a dependency at a port of 127.0.0.1, with these certificates."""


@pytest.fixture(name="authority", scope="module")
def _authority() -> Authority:
    return Authority()


@pytest.fixture(name="dependency", params=["database", "broker", "store", "cache"])
def _dependency(request: pytest.FixtureRequest) -> Iterator[tuple[str, int, Use]]:
    kind: str = request.param
    if kind == "database":
        database: PostgresServer = request.getfixturevalue("postgres")
        yield kind, database.port, _database(database)
    elif kind == "broker":
        broker: RabbitMQServer = request.getfixturevalue("rabbitmq_server")
        with broker.new_virtual_host() as own:
            yield kind, broker.amqp_port, _broker(own)
    elif kind == "store":
        store: S3Server = request.getfixturevalue("s3_server")
        yield kind, urlsplit(store.endpoint).port or 0, _store(store)
    else:
        cache: RedisServer = request.getfixturevalue("redis_server")
        yield kind, cache.port, _cache(cache)


def _database(server: PostgresServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        url = server.url.replace(f":{server.port}", f":{port}")
        async with (
            open_engine(url, pool_size=1, timeout_seconds=5, tls=tls) as engine,
            transaction(engine, timeout_seconds=5) as connection,
        ):
            await connection.execute(text("SELECT 1"))

    return use


def _broker(server: RabbitMQServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        url = server.amqp_url.replace("amqp:", "amqps:").replace(f":{server.amqp_port}", f":{port}")
        async with open_publisher(
            url=url, exchange="amq.topic", timeout_seconds=5, tls=tls
        ) as publisher:
            await publisher.check()

    return use


def _store(server: S3Server) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        access = replace(access_to(server), endpoint=f"https://127.0.0.1:{port}", tls=tls)
        async with open_client(access) as client:
            await call_once(lambda: client.head_bucket(Bucket=access.bucket))

    return use


def _cache(server: RedisServer) -> Use:
    async def use(port: int, tls: TlsMaterial) -> None:
        url = server.url.replace("redis:", "rediss:").replace(f":{server.port}", f":{port}")
        async with open_redis(url, LOGIN_RULES, timeout_seconds=5, tls=tls) as (limiter, _):
            await limiter.check()
            (decision,) = await limiter.count(Charge(Rule("uploads", Rate(1, 60)), token_hex(8)))
            assert decision.allowed

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
    ("host", "days", "own", "problem"),
    [
        ("127.0.0.1", 1, False, CertificateProblem.UNTRUSTED),
        ("127.0.0.1", -1, True, CertificateProblem.EXPIRED),
        ("db.example", 1, True, CertificateProblem.NAME_MISMATCH),
    ],
)
async def test_other_certificates_are_refused(
    dependency: tuple[str, int, Use],
    authority: Authority,
    tmp_path: Path,
    host: str,
    days: int,
    problem: CertificateProblem,
    *,
    own: bool,
) -> None:
    """An authority that is not in the bundle, an expired certificate, and one for another host."""
    kind, inner, use = dependency
    signer = authority if own else Authority()
    context = signer.issue(host, days=days).server_context(tmp_path)
    async with front_of(kind, inner, context) as port:
        with pytest.raises(UNAVAILABLE) as raised:
            await use(port, TlsMaterial(authority.bundle))
    assert problem_of(raised.value) is problem
    if kind == "database":
        assert database_cause(raised.value) is StopCause(f"database-certificate-{problem.value}")


def problem_of(error: BaseException | None) -> CertificateProblem | None:
    """Return the problem of the first certificate error in the chain of *error*."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError) and hasattr(error, "verify_code"):
            return certificate_problem(error)
        inner = getattr(error, "certificate_error", None)  # of aiohttp
        error = inner or error.__cause__ or error.__context__
    return None


@pytest.mark.parametrize("dependency", ["database", "broker"], indirect=True)
async def test_the_client_presents_its_certificate(
    dependency: tuple[str, int, Use], authority: Authority, tmp_path: Path
) -> None:
    """A server that requires a certificate accepts the client with it, and refuses it without."""
    kind, inner, use = dependency
    context = authority.issue().server_context(tmp_path, clients=authority)
    client = authority.issue("relay")
    async with AsyncExitStack() as stack:
        port = await stack.enter_async_context(front_of(kind, inner, context))
        await use(port, TlsMaterial(authority.bundle, client.certificate, client.key))
        with pytest.raises(UNAVAILABLE):
            await use(port, TlsMaterial(authority.bundle))
