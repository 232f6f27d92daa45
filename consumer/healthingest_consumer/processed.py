"""
Which uploads were processed: the memory of a consumer.

With a transactional store, the caller's effect and this memory are one commit, so a crash at any
point leaves both or none. `MemoryProcessed` forgets with the process.
"""

import asyncio
import sqlite3
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from healthingest_consumer.errors import AlreadyProcessedError, ProcessedUnavailableError

T = TypeVar("T")
_DAY_SECONDS: Final = 86_400
_BUSY_SECONDS: Final = 10.0


class Processed(Protocol):
    """Keeps the keys of processed uploads."""

    async def has(self, key: str) -> bool:
        """
        Return whether *key* was processed.

        Raises:
            ProcessedUnavailableError: the store gave no clear answer.
        """
        ...

    def once(self, key: str) -> AbstractAsyncContextManager[Any]:
        """
        Open a transaction for the effect of *key*, which is committed at the end of the context.

        It yields what the caller writes with, or None if the store has no transactions for it.

        Raises:
            AlreadyProcessedError: *key* was processed meanwhile.
            ProcessedUnavailableError: unclear whether it was committed.
        """
        ...


class MemoryProcessed(Processed):
    """The newest *max_keys* keys in memory: for effects that may happen twice after a crash."""

    def __init__(self, *, max_keys: int = 100_000) -> None:
        self._keys: OrderedDict[str, None] = OrderedDict()
        self._max_keys = max_keys

    async def has(self, key: str) -> bool:
        """See `Processed.has`."""
        return key in self._keys

    @asynccontextmanager
    async def once(self, key: str) -> AsyncIterator[None]:
        """See `Processed.once`; it has no transactions."""
        if key in self._keys:
            raise AlreadyProcessedError
        yield None
        self._keys[key] = None
        while len(self._keys) > self._max_keys:
            self._keys.popitem(last=False)


class SqliteProcessed(Processed):
    """
    Keys in a SQLite database, also of several processes.

    `once` yields the `sqlite3.Connection` of the transaction, to write effects into the same file.
    Keys older than *keep_days* are removed: a message is not repeated after so long.
    """

    def __init__(self, path: Path, *, keep_days: int = 90) -> None:
        self._path = path
        self._keep_days = keep_days
        self._turn = asyncio.Lock()
        self._connection: sqlite3.Connection | None = None

    async def close(self) -> None:
        """Close the database."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await asyncio.to_thread(connection.close)

    async def has(self, key: str) -> bool:
        """See `Processed.has`."""
        async with self._turn:
            return await self._in_thread(lambda connection: _has(connection, key))

    @asynccontextmanager
    async def once(self, key: str) -> AsyncIterator[sqlite3.Connection]:
        """See `Processed.once`. One transaction at a time is open in a process."""
        async with self._turn:
            connection = await self._in_thread(lambda found: _begin(found, key))
            try:
                yield connection
            except BaseException:
                await asyncio.shield(self._in_thread(sqlite3.Connection.rollback))
                raise
            await self._in_thread(sqlite3.Connection.commit)

    async def _in_thread(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await asyncio.to_thread(lambda: work(self._opened()))
        except sqlite3.IntegrityError as error:
            raise AlreadyProcessedError from error
        except sqlite3.Error as error:
            raise ProcessedUnavailableError from error

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            _prepare(self._connection, keep_days=self._keep_days)
        return self._connection


def _prepare(connection: sqlite3.Connection, *, keep_days: int) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS healthingest_processed ("
        "key TEXT PRIMARY KEY, processed_at INTEGER NOT NULL) WITHOUT ROWID"
    )
    oldest = int(time.time()) - keep_days * _DAY_SECONDS
    connection.execute("DELETE FROM healthingest_processed WHERE processed_at < ?", (oldest,))


def _has(connection: sqlite3.Connection, key: str) -> bool:
    wanted = "SELECT 1 FROM healthingest_processed WHERE key = ?"
    return connection.execute(wanted, (key,)).fetchone() is not None


def _begin(connection: sqlite3.Connection, key: str) -> sqlite3.Connection:
    connection.execute("BEGIN IMMEDIATE")
    try:
        connection.execute(
            "INSERT INTO healthingest_processed (key, processed_at) VALUES (?, ?)",
            (key, int(time.time())),
        )
    except sqlite3.Error:
        connection.rollback()
        raise
    return connection
