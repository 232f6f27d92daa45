"""Statements that are executed without SQLAlchemy's work, on SQLite and on PostgreSQL."""

import asyncio
from itertools import count
from typing import Any

import asyncpg
import pytest
from sqlalchemy import Integer, bindparam, column, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.statement import Statement
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.adapters.database.upload_rows import begun_values
from healthingest_service.uploads.errors import LedgerUnavailableError
from support.cancelling import is_cancelled_at
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, upload

RENAME = Statement(
    update(UploadRow)
    .where(UploadRow.record_type == bindparam("of"))
    .values(correlation_id="new", stored_at=None)
)
ALL = Statement(
    select(UploadRow.id, UploadRow.received_at, UploadRow.record_count).where(
        UploadRow.correlation_id == bindparam("correlation_id")
    )
)


async def _add(engine: AsyncEngine, number: int) -> dict[str, Any]:
    values = begun_values(upload(f"{number}".encode()), NOON, None)
    del values["subject_id"]
    async with transaction(engine, timeout_seconds=5) as connection:
        await connection.execute(insert(UploadRow).values(values))
    return values


async def test_it_tells_how_many_rows_it_changed(engine: AsyncEngine) -> None:
    """With values of the statement itself, and with values that are given."""
    added = [await _add(engine, number) for number in range(3)]
    of = added[0]["record_type"]
    assert await RENAME.execute(engine, {"of": of}, timeout_seconds=5) == 3
    assert await RENAME.execute(engine, {"of": "nothing"}, timeout_seconds=5) == 0


async def test_rows_have_the_types_of_the_table(engine: AsyncEngine) -> None:
    """Ids are UUIDs, times are in UTC."""
    added = await _add(engine, 1)
    wanted = {"correlation_id": added["correlation_id"]}
    (row,) = await ALL.fetch(engine, wanted, timeout_seconds=5)
    assert (row.id, row.received_at) == (added["id"], added["received_at"])
    assert row.received_at.tzinfo is not None
    assert row.record_count == added["record_count"]


async def test_it_leaves_the_connection_to_the_next(migrated_url: str) -> None:
    """Cancelled at whatever moment, it takes no connection of the pool with it."""
    async with open_engine(migrated_url, pool_size=1, timeout_seconds=5) as engine:
        for wait in count():
            asked = ALL.fetch(engine, {"correlation_id": "none"}, timeout_seconds=5)
            cancelled = await is_cancelled_at(wait, asked)
            assert await ALL.fetch(engine, {"correlation_id": "none"}, timeout_seconds=5) == []
            if not cancelled:
                break
        assert wait > 0


async def test_a_statement_that_is_late_is_unclear(postgres_url: str) -> None:
    """It may still run on its connection, so the next one gets another."""
    late = Statement(text("SELECT pg_sleep(:seconds)").columns())
    which = Statement(text("SELECT pg_backend_pid() AS pid").columns(column("pid", Integer)))
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
        (before,) = await which.fetch(engine, {}, timeout_seconds=HANG_SECONDS)
        with pytest.raises(LedgerUnavailableError):
            await late.execute(engine, {"seconds": HANG_SECONDS}, timeout_seconds=0.2)
        (after,) = await which.fetch(engine, {}, timeout_seconds=HANG_SECONDS)
    assert before.pid != after.pid


async def test_a_server_that_hangs_up_is_unclear(postgres_url: str) -> None:
    """The connection is not used again."""
    end = Statement(text("SELECT pg_terminate_backend(pg_backend_pid())").columns())
    one = Statement(text("SELECT 1").columns())
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine:
        with pytest.raises(LedgerUnavailableError):
            await end.execute(engine, {}, timeout_seconds=5)
        assert await one.execute(engine, {}, timeout_seconds=5) == 1


async def test_an_unreachable_server_is_unavailable() -> None:
    """Nobody listens there."""
    url = "postgresql://u:p@127.0.0.1:9/none"
    async with open_engine(url, pool_size=1, timeout_seconds=2) as engine:
        with pytest.raises(LedgerUnavailableError):
            await ALL.fetch(engine, {"correlation_id": "none"}, timeout_seconds=2)


@pytest.mark.parametrize(
    ("query", "given", "error"),
    [
        ("SELECT CAST(:given AS text)", "a\0b", asyncpg.CharacterNotInRepertoireError),
        ("SELECT CAST(:given AS text)", 7, asyncpg.DataError),
        ("SELECT 1 / (CAST(:given AS text) = 'x')::int", "y", asyncpg.DivisionByZeroError),
        ("SELECT CAST(:given AS text) FROM nothing", "x", asyncpg.UndefinedTableError),
    ],
    ids=["data", "type", "division", "table"],
)
async def test_an_error_that_comes_again_is_no_outage(
    postgres_url: str, query: str, given: object, error: type[Exception]
) -> None:
    """It must not be told as one that is safe to repeat; the connection stays usable."""
    statement = Statement(text(query).columns())
    one = Statement(text("SELECT 1").columns())
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=20) as engine:
        with pytest.raises(error):
            await statement.execute(engine, {"given": given}, timeout_seconds=20)
        assert await one.execute(engine, {}, timeout_seconds=20) == 1


async def test_no_transaction_stays_open(postgres_url: str) -> None:
    """Each statement is committed, and the connection returns to the pool as it was."""
    state = Statement(text("SELECT pg_current_xact_id_if_assigned() AS xid").columns())
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine:
        await state.execute(engine, {}, timeout_seconds=5)
        async with engine.connect() as connection:
            driver = (await connection.get_raw_connection()).driver_connection
            assert isinstance(driver, asyncpg.Connection)
            assert not driver.is_in_transaction()


async def test_who_waits_longest_is_next(migrated_url: str) -> None:
    """Callers take turns, whether they execute a statement or open a transaction."""
    turns: list[str] = []

    async def execute(name: str) -> None:
        for _ in range(4):
            await ALL.fetch(engine, {"correlation_id": "none"}, timeout_seconds=HANG_SECONDS)
            turns.append(name)

    async def transact(name: str) -> None:
        for _ in range(4):
            async with transaction(engine, timeout_seconds=HANG_SECONDS) as connection:
                await connection.execute(text("SELECT 1"))
            turns.append(name)

    async with open_engine(migrated_url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
        await asyncio.gather(execute("a"), transact("b"), execute("c"), transact("d"))
    assert turns == ["a", "b", "c", "d"] * 4


async def test_statements_run_side_by_side(engine: AsyncEngine) -> None:
    """Each has a connection of its own."""
    await _add(engine, 1)
    wanted = {"correlation_id": "none"}
    found = await asyncio.gather(*(ALL.fetch(engine, wanted, timeout_seconds=5) for _ in range(20)))
    assert found == [[]] * 20
