"""The migrations, on SQLite and on PostgreSQL."""

import asyncio
from functools import partial

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.stop_causes import StopCause
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import _config, is_current, migrate
from healthingest_service.adapters.database.stop_causes import database_cause
from healthingest_service.adapters.database.table_locks import lock_tables
from healthingest_service.adapters.database.tables import Base
from healthingest_service.uploads.errors import LedgerUnavailableError
from support.deadlines import HANG_SECONDS

OLD = "00000000-0000-0000-0000-000000000001"
NEW = "00000000-0000-0000-0000-000000000002"


async def test_make_the_tables_that_the_code_knows(engine: AsyncEngine) -> None:
    """The database has what the code declares, and nothing else."""
    ours = set(Base.metadata.tables)

    def differences(connection: Connection) -> list[object]:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, _parents: kind != "table" or name in ours,
                "compare_type": True,
            },
        )
        return list(compare_metadata(context, Base.metadata))

    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []


async def test_run_many_times_and_at_once(database_url: str) -> None:
    """Four processes that migrate at the same moment all succeed, and so does one afterwards."""
    await asyncio.gather(*(migrate(database_url, timeout_seconds=HANG_SECONDS) for _ in range(4)))
    await migrate(database_url, timeout_seconds=HANG_SECONDS)
    async with open_engine(database_url, pool_size=1, timeout_seconds=5) as engine:
        assert await is_current(engine)


async def test_are_missed(database_url: str) -> None:
    """A new database is not current."""
    async with open_engine(database_url, pool_size=1, timeout_seconds=5) as engine:
        assert not await is_current(engine)


async def test_cannot_reach_a_dead_server() -> None:
    """Nobody listens there: unavailable."""
    with pytest.raises(LedgerUnavailableError):
        await migrate("postgresql://u:p@127.0.0.1:9/none", timeout_seconds=2)


def _to(revision: str, connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


async def _wait_for_a_lock(engine: AsyncEngine) -> None:
    """Return when a session of the database waits for a lock."""
    waiting = text(
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database"
        " WHERE datname = current_database() AND NOT granted"
    )
    async with asyncio.timeout(HANG_SECONDS):
        while True:
            async with engine.connect() as connection:
                if await connection.scalar(waiting):
                    return


async def test_never_end_a_transaction_that_uses_several_tables(postgres_url: str) -> None:
    """
    It holds one table, and needs another one that the migration changes first.

    PostgreSQL would find a deadlock, and end one of the two.
    """
    async with open_engine(postgres_url, pool_size=2, timeout_seconds=HANG_SECONDS) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(partial(_to, "0014"))
        async with asyncio.TaskGroup() as tasks, engine.begin() as connection:
            await connection.execute(text("LOCK TABLE outbox IN ROW EXCLUSIVE MODE"))
            tasks.create_task(migrate(postgres_url, timeout_seconds=HANG_SECONDS))
            await _wait_for_a_lock(engine)
            await connection.execute(text("LOCK TABLE upload IN ROW EXCLUSIVE MODE"))
        assert await is_current(engine)


async def test_lock_all_tables_or_none(postgres_url: str) -> None:
    """
    While another session holds one table, no table stays locked.

    Once all are locked, the time limit of a statement is again what it was.
    """
    await migrate(postgres_url, timeout_seconds=HANG_SECONDS)
    async with (
        open_engine(postgres_url, pool_size=2, timeout_seconds=HANG_SECONDS) as engine,
        engine.begin() as connection,
    ):
        async with engine.begin() as other:
            await other.execute(text("LOCK TABLE upload IN ACCESS SHARE MODE"))
            with pytest.raises(DBAPIError) as late:
                await lock_tables(connection, timeout_seconds=0.1)
            assert database_cause(late.value) is StopCause.DATABASE_LOCKED
            await other.execute(text("LOCK TABLE alembic_version IN ACCESS SHARE MODE NOWAIT"))
        await connection.execute(text("SET LOCAL statement_timeout = '7min'"))
        await lock_tables(connection, timeout_seconds=HANG_SECONDS)
        assert await connection.scalar(text("SHOW statement_timeout")) == "7min"


async def test_keep_the_accounts_of_the_previous_version(database_url: str) -> None:
    """A migrated account keeps its columns, and a pod of the previous version still adds one."""
    insert = text(
        "INSERT INTO account (id, email, hashed_password, is_active, is_superuser, is_verified,"
        " created_at, updated_at) VALUES (:id, :email, 'x', true, false, true,"
        " CURRENT_TIMESTAMP, CURRENT_TIMESTAMP)"
    )
    async with open_engine(database_url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
        async with engine.begin() as connection:
            await connection.run_sync(partial(_to, "0006"))
            await connection.execute(insert, {"id": OLD, "email": "old@clinic.example"})
        await migrate(database_url, timeout_seconds=HANG_SECONDS)
        async with engine.begin() as connection:
            await connection.execute(insert, {"id": NEW, "email": "new@clinic.example"})
            rows = await connection.execute(
                text("SELECT email, password_version, closed_at FROM account ORDER BY email")
            )
            assert [tuple(row) for row in rows] == [
                ("new@clinic.example", 0, None),
                ("old@clinic.example", 0, None),
            ]
