"""The service opens each database address that the operator accepts, with every parameter."""

from urllib.parse import urlsplit

import pytest
from sqlalchemy import text

from healthingest_contract.database_address import with_hosts_first
from healthingest_contract.stop_causes import StopCause
from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.stop_causes import database_cause
from healthingest_service.uploads.errors import LedgerUnavailableError
from support.servers.postgres import PostgresServer, postgres_server
from support.servers.process import free_port
from support.servers.silent import silent_server


async def opens(url: str, *, seconds: float = 20) -> str:
    """Return the application name that the server shows, after the operator's check has passed."""
    await PostgresDatabase(seconds).check(url)
    return await opened(url, seconds)


async def opened(url: str, seconds: float) -> str:
    """Return the application name that the server shows to the service."""
    async with (
        open_engine(url, pool_size=1, timeout_seconds=seconds) as engine,
        transaction(engine, timeout_seconds=seconds) as connection,
    ):
        found: str = (await connection.execute(text("SHOW application_name"))).scalar_one()
    return found


@pytest.mark.parametrize(
    ("query", "application"),
    [
        ("", "healthingest"),
        ("?application_name=clinic", "clinic"),
        ("?sslmode=prefer", "healthingest"),
        ("?sslmode=disable&target_session_attrs=read-write", "healthingest"),
        ("?options=-c%20statement_timeout%3D5000", "healthingest"),
        ("?ssl_min_protocol_version=TLSv1.2", "healthingest"),
    ],
)
async def test_both_halves_open_it(postgres_url: str, query: str, application: str) -> None:
    """Operator and service interpret each parameter alike."""
    assert await opens(postgres_url + query) == application


@pytest.mark.parametrize("query", ["", "?target_session_attrs=read-write"])
async def test_both_halves_find_the_host_that_answers(
    postgres: PostgresServer, postgres_url: str, query: str
) -> None:
    """Of three hosts the first refuses connections, and the second never answers."""
    port = f"127.0.0.1:{postgres.port}"
    async with silent_server() as silent:
        hosts = f"127.0.0.1:{free_port()},127.0.0.1:{silent},{port}"
        assert await opens(postgres_url.replace(port, hosts) + query, seconds=6) == "healthingest"


async def test_hosts_can_be_parameters_of_the_address(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """As libpq allows; the operator writes them before the path."""
    parts = urlsplit(postgres_url)
    login = parts.netloc.rpartition("@")[0]
    url = f"postgresql://{login}@{parts.path}?host=127.0.0.1,localhost&port={postgres.port}"
    assert await opens(with_hosts_first(url)) == "healthingest"


async def test_both_halves_pass_over_a_host_that_is_read_only(postgres: PostgresServer) -> None:
    """With `target_session_attrs`; without it the operator refuses the first host."""
    with postgres_server() as other:
        other.execute("ALTER SYSTEM SET default_transaction_read_only = on")
        other.execute("SELECT pg_reload_conf()")
        hosts = f"127.0.0.1:{other.port},127.0.0.1:{postgres.port}"
        url = postgres.url.replace(f"127.0.0.1:{postgres.port}", hosts)
        assert await opens(f"{url}?target_session_attrs=read-write") == "healthingest"
        with pytest.raises(DependencyError, match="is read-only"):
            await opens(url)
        alone = f"{other.url}?target_session_attrs=read-write"
        with pytest.raises(DependencyError, match="target_session_attrs"):
            await opens(alone)
        with pytest.raises(LedgerUnavailableError) as raised:
            await opened(alone, 20)
        assert database_cause(raised.value) is StopCause.DATABASE_READ_ONLY


async def test_the_owner_of_a_database_is_enough_for_both_halves(postgres: PostgresServer) -> None:
    """As CloudNativePG's `<cluster>-app`: neither CREATEROLE nor CREATEDB is needed."""
    with postgres.role("word", "LOGIN NOCREATEROLE NOCREATEDB") as (name, url):
        postgres.execute(f"ALTER DATABASE {name} OWNER TO {name}")
        database = PostgresDatabase(20)
        assert await database.write_installation(url, "a/b", "uid-1")
        await migrate(url, timeout_seconds=20)
        assert await opens(url) == "healthingest"
        assert await database.check(url, "a/b") == "uid-1"
