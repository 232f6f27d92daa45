"""The engine, and what it makes of SQLite."""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from healthingest_service.adapters.database.engine import check_url, open_engine, transaction


@pytest.mark.parametrize(
    "given",
    [
        "postgres://u@h:1/d",
        "postgresql://u@h/d",
        "postgresql://u@h/d?sslmode=require",
        "postgresql+asyncpg://u@h/d",
        "sqlite:////var/health.db",
        "sqlite+aiosqlite:////var/health.db",
    ],
)
def test_understands_what_platforms_hand_out(given: str) -> None:
    """Each common spelling of an address is one of a driver that we have."""
    check_url(given)


@pytest.mark.parametrize(
    "given", ["mysql://u:not-this@h/d", "not-this", "", "postgresql://u:not-this@h:port/d"]
)
def test_tells_no_secret_of_an_address(given: str) -> None:
    """A wrong address is refused without repeating it: it may hold a password."""
    with pytest.raises(ValueError, match="must be an address such as postgresql:") as refused:
        check_url(given)
    assert "not-this" not in str(refused.value)
    assert refused.value.__cause__ is None


async def test_sqlite_keeps_what_it_commits(tmp_path: Path) -> None:
    """WAL, every commit synced, foreign keys checked."""
    async with (
        open_engine(f"sqlite:///{tmp_path}/health.db", pool_size=1, timeout_seconds=1) as engine,
        transaction(engine, timeout_seconds=1, writes=False) as connection,
    ):
        found = [
            (await connection.execute(text(f"PRAGMA {name}"))).scalar_one() for name in PRAGMAS
        ]
    assert dict(zip(PRAGMAS, found, strict=True)) == PRAGMAS


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


async def test_waits_for_others_that_open_the_same_new_file(tmp_path: Path) -> None:
    """
    While another writes, SQLite refuses to switch to WAL at once instead of waiting.

    We wait for it.
    """
    path = tmp_path / "new.db"

    async def work() -> None:
        async with (
            open_engine(f"sqlite:///{path}", pool_size=1, timeout_seconds=5) as engine,
            transaction(engine, timeout_seconds=5) as connection,
        ):
            await connection.execute(text("CREATE TABLE ours (id INTEGER)"))

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (id INTEGER)")
        other.execute("BEGIN IMMEDIATE")
        task = asyncio.create_task(work())
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert done == set()
        other.execute("COMMIT")
        await task
    with closing(sqlite3.connect(path)) as another:
        assert another.execute("PRAGMA journal_mode").fetchone() == ("wal",)
