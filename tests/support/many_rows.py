"""Fills a migrated PostgreSQL with many rows in every table that grows."""

import hashlib
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

_TABLES: Final = (
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    " AND tablename <> 'alembic_version' ORDER BY tablename"
)
_FILL: Final = Path(__file__).with_name("many_rows.sql")


async def fill(engine: AsyncEngine, rows: int, tables: Collection[str] | None = None) -> None:
    """Insert *rows* rows into each table, or into *tables*, and let the planner know of them."""
    statements = _FILL.read_text(encoding="utf-8").replace("{rows}", str(rows)).split(";\n")
    async with engine.begin() as connection:
        for statement in statements:
            if statement.strip() and _is_wanted(statement, tables):
                await connection.exec_driver_sql(statement)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE")
        )


def _is_wanted(statement: str, tables: Collection[str] | None) -> bool:
    """Return whether it inserts into one of *tables*, or prepares the inserts."""
    match = re.search(r"^INSERT INTO (\w+)", statement, re.MULTILINE)
    return tables is None or match is None or match[1] in tables


def hash_of(kind: str, number: int) -> str:
    """Return the hash that the rows have for *kind* and *number*."""
    halves = (f"{kind}{number}", f"{number}{kind}")
    return "".join(hashlib.md5(half.encode(), usedforsecurity=False).hexdigest() for half in halves)


async def bytes_per_row(engine: AsyncEngine) -> dict[str, float]:
    """Return the bytes of a row by table: those of the table, its indexes and its long values."""
    found = {}
    async with engine.connect() as connection:
        names = (await connection.scalars(text(_TABLES))).all()
        for name in names:
            # S608: a name of our own
            counted = f"SELECT pg_total_relation_size('{name}'), count(*) FROM {name}"  # noqa: S608
            size_bytes, rows = (await connection.execute(text(counted))).one()
            found[name] = size_bytes / max(rows, 1)
    return found
