"""What was processed is known, and its effect and its memory are one."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from healthingest_consumer.errors import AlreadyProcessedError, ProcessedUnavailableError
from healthingest_consumer.processed import MemoryProcessed, Processed, SqliteProcessed


@pytest.fixture(name="processed", params=["memory", "sqlite"])
async def _processed(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Processed]:
    if request.param == "memory":
        yield MemoryProcessed()
        return
    found = SqliteProcessed(tmp_path / "processed.sqlite")
    yield found
    await found.close()


async def test_a_key_is_processed_once(processed: Processed) -> None:
    """And known afterwards; another one is not."""
    assert not await processed.has("a")
    async with processed.once("a"):
        pass
    assert await processed.has("a")
    assert not await processed.has("b")
    with pytest.raises(AlreadyProcessedError):
        async with processed.once("a"):
            raise AssertionError


async def test_a_failed_effect_is_not_remembered(processed: Processed) -> None:
    """It can be tried again."""
    with pytest.raises(ZeroDivisionError):
        async with processed.once("a"):
            raise ZeroDivisionError
    assert not await processed.has("a")
    async with processed.once("a"):
        pass
    assert await processed.has("a")


async def test_memory_has_a_limit() -> None:
    """The oldest keys are forgotten."""
    processed = MemoryProcessed(max_keys=2)
    for key in ("a", "b", "c"):
        async with processed.once(key):
            pass
    assert [await processed.has(key) for key in ("a", "b", "c")] == [False, True, True]


class TestSqlite:
    async def test_an_effect_is_there_if_its_memory_is(self, tmp_path: Path) -> None:
        """In the same file: both after a commit, neither after a failure or a cancellation."""
        path = tmp_path / "x.sqlite"
        processed = SqliteProcessed(path)
        async with processed.once("make") as connection:
            connection.execute("CREATE TABLE effect (key TEXT)")
        async with processed.once("a") as connection:
            connection.execute("INSERT INTO effect VALUES ('a')")

        async def fails() -> None:
            async with processed.once("b") as connection:
                connection.execute("INSERT INTO effect VALUES ('b')")
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await fails()
        entered = asyncio.Event()

        async def hangs() -> None:
            async with processed.once("c") as connection:
                connection.execute("INSERT INTO effect VALUES ('c')")
                entered.set()
                await asyncio.Event().wait()

        task = asyncio.create_task(hangs())
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [await processed.has(key) for key in ("a", "b", "c")] == [True, False, False]
        await processed.close()
        with sqlite3.connect(path) as connection:
            assert connection.execute("SELECT key FROM effect").fetchall() == [("a",)]
        connection.close()

    async def test_two_processes_do_not_both_process(self, tmp_path: Path) -> None:
        """The second one waits for the first, and finds it done."""
        path = tmp_path / "x.sqlite"
        first, second = SqliteProcessed(path), SqliteProcessed(path)

        async def process(processed: SqliteProcessed) -> bool:
            try:
                async with processed.once("a"):
                    await asyncio.sleep(0)
            except AlreadyProcessedError:
                return False
            return True

        done = await asyncio.gather(process(first), process(second))
        assert sorted(done) == [False, True]
        await first.close()
        await second.close()

    async def test_a_database_that_is_none_is_unavailable(self, tmp_path: Path) -> None:
        """Its error does not come through."""
        path = tmp_path / "x.sqlite"
        path.write_bytes(b"no database, but long enough to be read as one" * 10)
        processed = SqliteProcessed(path)
        with pytest.raises(ProcessedUnavailableError):
            await processed.has("a")
        await processed.close()

    async def test_old_keys_go(self, tmp_path: Path) -> None:
        """When it is opened again."""
        path = tmp_path / "x.sqlite"
        processed = SqliteProcessed(path)
        async with processed.once("a") as connection:
            connection.execute("UPDATE healthingest_processed SET processed_at = 0")
        async with processed.once("b"):
            pass
        await processed.close()
        again = SqliteProcessed(path)
        assert [await again.has(key) for key in ("a", "b")] == [False, True]
        await again.close()
