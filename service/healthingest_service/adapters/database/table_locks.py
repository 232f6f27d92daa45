"""Locks the tables of a migration on PostgreSQL without a deadlock."""

import asyncio
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection

_OWN_TABLES: Final = text(
    "SELECT oid::regclass::text FROM pg_class"
    " WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace"
    " AND pg_has_role(relowner, 'USAGE') ORDER BY oid"
)
_BRIEF: Final = text(
    "SELECT set_config('statement_timeout', (setting::int / 2) || 'ms', true)"
    " FROM pg_settings WHERE name = 'deadlock_timeout'"
)
_LIMIT: Final = text("SELECT set_config('statement_timeout', :limit, true)")
_CANCELLED: Final = "57014"
"""SQLSTATE of a statement that exceeded `statement_timeout`."""
_FIRST_PAUSE_SECONDS: Final = 0.1
_MAX_PAUSE_SECONDS: Final = 2.0


async def lock_tables(connection: AsyncConnection, *, timeout_seconds: float) -> None:
    """
    Lock all tables of the schema until the end of the transaction.

    A migration changes several tables, and a statement of an upload uses several. Without this
    each could wait for a table that the other holds. PostgreSQL notices that after
    `deadlock_timeout`, one second by default, and one of the two fails. Here an attempt takes half
    of that time at most, and then gives all locks back: statements of running processes wait, and
    do not fail. The pauses grow, because a dump, for example, may hold its locks for minutes.

    Raises:
        DBAPIError: another session held a lock for *timeout_seconds* (SQLSTATE 57014).
    """
    tables = (await connection.scalars(_OWN_TABLES)).all()
    if not tables:
        return
    lock = text(f"LOCK TABLE {', '.join(tables)} IN ACCESS EXCLUSIVE MODE")
    limit = {"limit": await connection.scalar(text("SHOW statement_timeout"))}
    clock = asyncio.get_running_loop().time
    deadline = clock() + timeout_seconds
    pause = _FIRST_PAUSE_SECONDS
    while True:
        try:
            async with connection.begin_nested():
                await connection.execute(_BRIEF)
                await connection.execute(lock)
                await connection.execute(_LIMIT, limit)
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != _CANCELLED or clock() >= deadline:
                raise
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _MAX_PAUSE_SECONDS)
