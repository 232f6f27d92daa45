"""The engine, and what it makes of SQLite."""

import asyncio
import gc
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import check_url, open_engine, transaction
from healthingest_service.adapters.database.sqlite_connection import ClosingConnection
from support.deadlines import HANG_SECONDS


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


async def _fail(engine: AsyncEngine) -> IntegrityError:
    """Insert a row twice, and return the error, whose traceback has the cursor."""
    try:
        async with transaction(engine, timeout_seconds=HANG_SECONDS) as connection:
            await connection.execute(text("INSERT INTO it VALUES (1), (1)"))
    except IntegrityError as error:
        return error
    raise AssertionError


async def test_a_failed_statement_stops_nobody(tmp_path: Path) -> None:
    """
    What is left of it is freed while its connection waits for the lock of another one.

    If that had to wait for the connection, the loop could not give the other lock back.
    """
    path = tmp_path / "health.db"
    async with open_engine(f"sqlite:///{path}", pool_size=1, timeout_seconds=20) as engine:
        async with transaction(engine, timeout_seconds=HANG_SECONDS) as connection:
            await connection.execute(text("CREATE TABLE it (id INTEGER PRIMARY KEY)"))
        failed = [await _fail(engine)]
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            async with asyncio.TaskGroup() as tasks:
                waiting = tasks.create_task(_insert(engine))
                await asyncio.wait({waiting}, timeout=0.3)  # it is at the lock
                failed.clear()
                gc.collect()
                other.execute("COMMIT")


async def _insert(engine: AsyncEngine) -> None:
    async with transaction(engine, timeout_seconds=HANG_SECONDS) as connection:
        await connection.execute(text("INSERT INTO it VALUES (1)"))


@pytest.mark.parametrize("call", ["execute", "executemany"])
def test_a_cursor_is_closed_when_its_statement_fails(call: str) -> None:
    """In the thread of the connection, and not where the garbage collector runs."""
    with closing(sqlite3.connect(":memory:", factory=ClosingConnection)) as connection:
        cursor = connection.cursor()
        with pytest.raises(sqlite3.OperationalError):
            getattr(cursor, call)("INSERT INTO nothing VALUES (?)", [1])
        with pytest.raises(sqlite3.ProgrammingError, match="closed cursor"):
            cursor.fetchall()


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
