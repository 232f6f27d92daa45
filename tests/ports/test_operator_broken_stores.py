"""Real faults of a database or an object store have the reason and message of the table."""

import os
import pwd
import shutil
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_operator.adapters.s3.store import S3ObjectStore, s3_object_store
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import StoreAccess
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.connection_causes import ConnectionFailure
from support.broken_dependencies import SECONDS, SECRET, UNKNOWN_NAME, WrongPorts, assert_said
from support.deadlines import HANG_SECONDS
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import ServerProcess, free_port
from support.servers.tls import certificate
from support.servers.versitygw import S3Server, s3_server


async def refused(url: str) -> DependencyError:
    """Return what the operator reports for this address."""
    with pytest.raises(DependencyError) as raised:
        await PostgresDatabase(SECONDS).check(url)
    return raised.value


DATABASE = [
    (f"{UNKNOWN_NAME}:1/a", causes.DATABASE[ConnectionFailure.UNKNOWN_NAME]),
    ("127.0.0.1:{closed}/a", causes.DATABASE[ConnectionFailure.REFUSED]),
    ("127.0.0.1:{silent}/a", causes.DATABASE[ConnectionFailure.SILENT]),
    ("127.0.0.1:{postgres}/postgres?sslmode=require", causes.DATABASE[ConnectionFailure.NOT_TLS]),
    ("127.0.0.1:{amqp}/a", causes.NOT_POSTGRESQL),
    ("127.0.0.1:{management}/a", causes.NOT_POSTGRESQL),
    ("127.0.0.1:{s3}/a", causes.NOT_POSTGRESQL),
    ("127.0.0.1:{redis}/a", causes.NOT_POSTGRESQL),
    ("127.0.0.1:{tls_s3}/a", causes.DATABASE[ConnectionFailure.CLOSED]),
]


@pytest.mark.parametrize(("rest", "cause"), DATABASE)
async def test_a_wrong_address_of_the_database_is_named(
    wrong: WrongPorts, rest: str, cause: Cause
) -> None:
    """Name, port, TLS, another protocol."""
    rest = rest.format(**vars(wrong))
    error = await refused(f"postgresql://user:{SECRET}@{rest}")
    assert_said(error, cause, where=f"PostgreSQL at {rest.partition('/')[0]}")


LOGINS = [
    ("LOGIN VALID UNTIL '2020-01-01'", causes.DATABASE_LOGIN),
    ("NOLOGIN", causes.DATABASE_ROLE_LOCKED),
    ("LOGIN CONNECTION LIMIT 0", causes.DATABASE_LIMIT),
]


@pytest.mark.parametrize(("words", "cause"), LOGINS)
async def test_a_role_that_may_not_log_in_is_named(
    postgres: PostgresServer, words: str, cause: Cause
) -> None:
    """Expired, without LOGIN, at its limit of connections."""
    with postgres.role(SECRET, words) as (name, url):
        error = await refused(url)
    assert_said(
        error, cause, where=f"PostgreSQL at 127.0.0.1:{postgres.port}", user=name, database=name
    )


async def test_login_and_database_are_told_apart(postgres: PostgresServer) -> None:
    """A wrong password, a missing database, or one to which the role may not connect."""
    with postgres.role(SECRET) as (name, url):
        named = {"where": f"PostgreSQL at 127.0.0.1:{postgres.port}", "user": name}
        assert_said(
            await refused(url.replace(SECRET, f"{SECRET}-x")),
            causes.DATABASE_LOGIN,
            **named,
            database=name,
        )
        assert_said(
            await refused(f"{url}_not"), causes.DATABASE_MISSING, **named, database=f"{name}_not"
        )
        postgres.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        assert_said(await refused(url), causes.DATABASE_ADMIN_RIGHTS, **named, database=name)


async def test_an_administrator_without_rights_is_named(postgres: PostgresServer) -> None:
    """An administrator of `adminUrl`."""
    with postgres.role(SECRET) as (name, url):
        with pytest.raises(DependencyError) as raised:
            await PostgresDatabase(SECONDS).provision(url, url.replace(name, f"{name}_new"))
        where = f"PostgreSQL at 127.0.0.1:{postgres.port}"
        assert_said(
            raised.value, causes.DATABASE_ADMIN_RIGHTS, where=where, user=name, database=name
        )


async def test_a_read_only_database_is_named(postgres: PostgresServer) -> None:
    """Made read-only by a setting of the role; nothing is written."""
    with postgres.role(SECRET) as (name, url):
        postgres.execute(f"ALTER ROLE {name} SET default_transaction_read_only = on")
        error = await refused(url)
    where = f"PostgreSQL at 127.0.0.1:{postgres.port}"
    assert_said(
        error, causes.DATABASE_READ_ONLY, where=where, why="default_transaction_read_only is on"
    )


async def test_a_standby_is_named(server: PostgresServer) -> None:
    """It accepts this login, and writes of nobody."""
    process = local_process(server)
    process.stop()
    (process.folder / "data" / "standby.signal").touch()
    process.start()
    error = await refused(server.url)
    where = f"PostgreSQL at 127.0.0.1:{server.port}"
    assert_said(error, causes.DATABASE_READ_ONLY, where=where, why="it is a standby")


async def test_a_database_that_stops_is_named(server: PostgresServer) -> None:
    """It waits for its sessions to end, and accepts no other."""
    process = local_process(server)
    session = await asyncpg.connect(server.url)
    process.send(signal.SIGTERM)
    deadline = time.monotonic() + HANG_SECONDS
    while await is_accepted(server.url):
        assert time.monotonic() < deadline
    error = await refused(server.url)
    assert_said(error, causes.DATABASE_STARTING, where=f"PostgreSQL at 127.0.0.1:{server.port}")
    await session.close()


async def is_accepted(url: str) -> bool:
    """Whether the server accepts another session."""
    try:
        await (await asyncpg.connect(url)).close()
    except asyncpg.CannotConnectNowError:
        return False
    return True


@pytest.fixture(name="server")
def _server() -> Iterator[PostgresServer]:
    """A server that a test may stop."""
    with postgres_server() as found:
        yield found


def local_process(server: PostgresServer) -> ServerProcess:
    """The process of *server*."""
    if server.process is None:
        pytest.skip("the server runs in a container")
    return server.process


async def test_an_expired_role_of_the_operator_is_renewed(postgres: PostgresServer) -> None:
    """If the operator has the administrator's address, it repairs the role."""
    name = f"renewed_{free_port()}"
    url = f"postgresql://{name}:{SECRET}@127.0.0.1:{postgres.port}/{name}"
    database = PostgresDatabase(SECONDS)
    await database.provision(postgres.url, url)
    postgres.execute(f"ALTER ROLE {name} VALID UNTIL '2020-01-01'")
    assert (await refused(url)).reason is causes.DATABASE_LOGIN.reason
    await database.provision(postgres.url, url)
    await PostgresDatabase(SECONDS).check(url)


async def has_tls(server: PostgresServer) -> None:
    """Wait for the new setting. Then `require` accepts an untrusted certificate."""
    deadline = time.monotonic() + 60
    while True:
        try:
            await PostgresDatabase(SECONDS).check(f"{server.url}?sslmode=require")
        except DependencyError:
            assert time.monotonic() < deadline
        else:
            return


async def test_a_certificate_of_the_database_that_nobody_trusts_is_named(tmp_path: Path) -> None:
    """With `sslmode=verify-full` the certificate is refused; with `require` it is accepted."""
    with postgres_server() as server:
        if server.process is None:
            pytest.skip("the server runs in a container")
        data = server.process.folder / "data"
        made = certificate(tmp_path)
        for name in ("server.crt", "server.key"):
            shutil.copy(made, data / name)
            (data / name).chmod(0o600)
            owner = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
            if owner is not None:
                os.chown(data / name, owner.pw_uid, owner.pw_gid)
        server.execute("ALTER SYSTEM SET ssl = on")
        server.execute("SELECT pg_reload_conf()")
        await has_tls(server)
        error = await refused(f"{server.url}?sslmode=verify-full")
        assert_said(
            error,
            causes.DATABASE[ConnectionFailure.UNTRUSTED],
            where=f"PostgreSQL at 127.0.0.1:{server.port}",
        )


@pytest.fixture(name="store")
async def _store() -> AsyncIterator[S3ObjectStore]:
    async with s3_object_store(SECONDS) as found:
        yield found


def access(
    server: S3Server, *, endpoint: str | None = None, secret_access_key: str | None = None
) -> StoreAccess:
    """The server's own credentials."""
    return StoreAccess(
        endpoint or server.endpoint,
        server.region,
        server.bucket,
        server.access_key_id,
        secret_access_key or server.secret_access_key,
    )


STORE = [
    (f"http://{UNKNOWN_NAME}:1", causes.STORE[ConnectionFailure.UNKNOWN_NAME]),
    ("http://127.0.0.1:{closed}", causes.STORE[ConnectionFailure.REFUSED]),
    ("http://127.0.0.1:{silent}", causes.STORE[ConnectionFailure.SILENT]),
    ("http://127.0.0.1:{tls_s3}", causes.STORE[ConnectionFailure.WANTS_TLS]),
    ("https://127.0.0.1:{tls_s3}", causes.STORE[ConnectionFailure.UNTRUSTED]),
    ("https://127.0.0.1:{s3}", causes.STORE[ConnectionFailure.NOT_TLS]),
    ("http://127.0.0.1:{postgres}", causes.STORE[ConnectionFailure.CLOSED]),
    ("http://127.0.0.1:{management}", causes.NOT_S3),
    ("http://127.0.0.1:{amqp}", causes.NOT_S3),
]


@pytest.mark.parametrize(("endpoint", "cause"), STORE)
async def test_a_wrong_endpoint_of_the_store_is_named(
    store: S3ObjectStore, s3_server: S3Server, wrong: WrongPorts, endpoint: str, cause: Cause
) -> None:
    """Name, port, TLS in both directions, another service; by full and by external checks."""
    endpoint = endpoint.format(**vars(wrong))
    where = f"the object store at {endpoint.partition('://')[2]}"
    with pytest.raises(DependencyError) as raised:
        await store.observe(access(s3_server, endpoint=endpoint, secret_access_key=SECRET))
    assert_said(raised.value, cause, where=where)
    with pytest.raises(DependencyError) as raised:
        await store.fingerprint(access(s3_server, endpoint=endpoint))


async def test_a_wrong_key_of_the_store_is_named(store: S3ObjectStore, s3_server: S3Server) -> None:
    """With a secret that does not belong to the key."""
    with pytest.raises(DependencyError) as raised:
        await store.observe(access(s3_server, secret_access_key=SECRET))
    assert_said(
        raised.value,
        causes.STORE_LOGIN,
        where=f"the object store at {s3_server.endpoint.partition('://')[2]}",
    )


async def test_credentials_without_rights_are_named(store: S3ObjectStore) -> None:
    """A user of the store who may not use the bucket."""
    with s3_server() as server:
        forbidden = server.new_bucket().new_user(SECRET)
        with pytest.raises(DependencyError) as raised:
            await store.observe(access(forbidden))
    assert_said(
        raised.value,
        causes.STORE_FORBIDS,
        where=f"the object store at {server.endpoint.partition('://')[2]}",
        bucket=forbidden.bucket,
    )
