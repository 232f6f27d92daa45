"""The service opens each database address that the operator accepts, with every parameter."""

import pytest
from sqlalchemy import text

from healthingest_operator.adapters.postgres.database import PostgresDatabase
from healthingest_service.adapters.database.engine import open_engine, transaction
from support.servers.postgres import PostgresServer
from support.servers.process import free_port


async def opens(url: str) -> str:
    """Return the application name that the server shows, after the operator's check has passed."""
    await PostgresDatabase(20).check(url)
    async with (
        open_engine(url, pool_size=1, timeout_seconds=20) as engine,
        transaction(engine, timeout_seconds=20) as connection,
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


async def test_both_halves_find_the_host_that_answers(
    postgres: PostgresServer, postgres_url: str
) -> None:
    """The first of two hosts does not answer."""
    port = f"127.0.0.1:{postgres.port}"
    assert (
        await opens(postgres_url.replace(port, f"127.0.0.1:{free_port()},{port}")) == "healthingest"
    )
