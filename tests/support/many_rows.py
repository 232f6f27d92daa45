"""Fills a migrated PostgreSQL with many rows in every table that grows."""

import hashlib
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.tables import Base

_FILL: Final = Path(__file__).with_name("many_rows.sql")


async def fill(engine: AsyncEngine, rows: int) -> None:
    """Insert *rows* rows into each table, and let the planner know of them."""
    statements = _FILL.read_text(encoding="utf-8").replace("{rows}", str(rows)).split(";\n")
    async with engine.begin() as connection:
        for statement in statements:
            if statement.strip():
                await connection.exec_driver_sql(statement)
    async with engine.connect() as connection:
        await (await connection.execution_options(isolation_level="AUTOCOMMIT")).execute(
            text("VACUUM ANALYZE")
        )


def hash_of(kind: str, number: int) -> str:
    """Return the hash that the rows have for *kind* and *number*."""
    halves = (f"{kind}{number}", f"{number}{kind}")
    return "".join(hashlib.md5(half.encode(), usedforsecurity=False).hexdigest() for half in halves)


async def bytes_per_row(engine: AsyncEngine) -> dict[str, float]:
    """Return the bytes of a row by table: those of the table, its indexes and its long values."""
    found = {}
    async with engine.connect() as connection:
        for name in sorted(Base.metadata.tables):
            # S608: a name of our own
            counted = f"SELECT pg_total_relation_size('{name}'), count(*) FROM {name}"  # noqa: S608
            size_bytes, rows = (await connection.execute(text(counted))).one()
            found[name] = size_bytes / max(rows, 1)
    return found
