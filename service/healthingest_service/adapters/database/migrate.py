"""Migrates a database to the schema of this version of the service."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_service.adapters.database.engine import is_postgresql, open_engine, transaction
from healthingest_service.adapters.database.row_security import grant_privileges
from healthingest_service.adapters.database.table_locks import lock_tables

_LOCK: Final = 0x6865616C7468  # "health", the advisory lock of migrations
_SHARES_OF_TIME: Final = {"lock_timeout": 0.8, "statement_timeout": 0.9}
"""Settings of PostgreSQL, as shares of the migration's deadline."""


def _config() -> Config:
    config = Config()
    config.set_main_option(
        "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
    )
    return config


async def migrate(url: str, *, timeout_seconds: float, tls: TlsMaterial = NO_TLS_MATERIAL) -> None:
    """
    Upgrade to the newest revision, in one transaction. Concurrent and repeated calls are safe.

    Statements of running processes wait for it, and no deadlock ends them. On PostgreSQL it also
    grants the privileges of row-level security, which a restore may drop.

    Raises:
        LedgerUnavailableError: the database could not be reached, or the deadline passed; nothing
            has changed.
    """
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            open_engine(url, pool_size=1, timeout_seconds=timeout_seconds, tls=tls)
        )
        if not is_postgresql(engine):
            _ignore_foreign_keys(engine)
        connection = await stack.enter_async_context(
            transaction(engine, timeout_seconds=timeout_seconds)
        )
        if connection.dialect.name == "postgresql":
            await _limit_waiting(connection, timeout_seconds)
            # Held until the end of the transaction. On SQLite, BEGIN IMMEDIATE is such a lock.
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            if set(await connection.run_sync(_current)) != _heads():
                seconds = timeout_seconds * _SHARES_OF_TIME["lock_timeout"]
                await lock_tables(connection, timeout_seconds=seconds)
        await connection.run_sync(_upgrade)
        if is_postgresql(engine):
            await grant_privileges(connection)


def _ignore_foreign_keys(engine: AsyncEngine) -> None:
    """
    Turn off the foreign keys of SQLite.

    A table is altered by copying it; with them, dropping the old one would delete the rows of other
    tables that refer to it (SQLite, "ALTER TABLE", 7).
    """

    @event.listens_for(engine.sync_engine, "connect")
    # ANN401: the driver's connection has no type
    def _prepare(connection: Any, _record: object) -> None:  # noqa: ANN401
        cursor = connection.cursor()
        cursor.execute("PRAGMA foreign_keys=OFF")
        cursor.close()


async def _limit_waiting(connection: AsyncConnection, timeout_seconds: float) -> None:
    """
    Let PostgreSQL end a statement before our own deadline does.

    Only its error code tells a held lock or a slow migration from an unreachable server.
    """
    for setting, share in _SHARES_OF_TIME.items():
        milliseconds = max(1, int(timeout_seconds * share * 1000))
        await connection.execute(
            text("SELECT set_config(:setting, :value, true)"),
            {"setting": setting, "value": f"{milliseconds}ms"},
        )


async def is_current(engine: AsyncEngine, *, timeout_seconds: float = 5.0) -> bool:
    """
    Return whether the database has the newest revision of this version.

    Raises:
        LedgerUnavailableError: the database cannot be read.
    """
    heads = await asyncio.to_thread(_heads)
    async with transaction(engine, timeout_seconds=timeout_seconds, writes=False) as connection:
        return set(await connection.run_sync(_current)) == heads


def _heads() -> set[str]:
    return set(ScriptDirectory.from_config(_config()).get_heads())


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _current(connection: Connection) -> tuple[str, ...]:
    return MigrationContext.configure(connection).get_current_heads()
