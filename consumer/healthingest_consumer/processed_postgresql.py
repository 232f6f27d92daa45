"""Processed uploads in PostgreSQL, in one transaction with the effects of the caller."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from healthingest_consumer.errors import AlreadyProcessedError, ProcessedUnavailableError
from healthingest_consumer.processed import Processed

_CREATE: Final = (
    "SELECT pg_advisory_xact_lock(7309453);"
    "CREATE TABLE IF NOT EXISTS healthingest_processed ("
    "key text PRIMARY KEY, processed_at timestamptz NOT NULL DEFAULT now())"
)
"""
One transaction. Without the lock, of consumers that begin at once all but one fail: PostgreSQL
checks IF NOT EXISTS before the tables of others are visible. The number only has to differ from
those of other locks.
"""
_FORGET: Final = (
    "DELETE FROM healthingest_processed WHERE processed_at < now() - make_interval(days => $1)"
)
_HAS: Final = "SELECT 1 FROM healthingest_processed WHERE key = $1"
_RECORD: Final = "INSERT INTO healthingest_processed (key) VALUES ($1)"
_FAILURES: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class PostgresqlProcessed(Processed):
    """
    Keys in a table of the caller's database, shared by all consumers.

    `once` yields the `asyncpg` connection of the transaction. A second consumer of the same upload
    waits for the first, and then learns that it is done. Keys older than *keep_days* are removed.
    """

    def __init__(self, pool: Any, *, keep_days: int = 90) -> None:  # noqa: ANN401 - without types
        self._pool = pool
        self._keep_days = keep_days
        self._is_prepared = False

    async def has(self, key: str) -> bool:
        """See `Processed.has`."""
        try:
            await self._prepare()
            return await self._pool.fetchval(_HAS, key) is not None
        except _FAILURES as error:
            raise ProcessedUnavailableError from error

    @asynccontextmanager
    async def once(self, key: str) -> AsyncIterator[Any]:
        """See `Processed.once`; errors of the caller's own statements are raised as they are."""
        try:
            await self._prepare()
            connection = await self._pool.acquire()
        except _FAILURES as error:
            raise ProcessedUnavailableError from error
        try:
            transaction = connection.transaction()
            await _begin(connection, transaction, key)
            try:
                yield connection
            except BaseException:
                await transaction.rollback()
                raise
            await _commit(transaction)
        finally:
            await self._pool.release(connection)

    async def _prepare(self) -> None:
        if not self._is_prepared:
            await self._pool.execute(_CREATE)
            await self._pool.execute(_FORGET, self._keep_days)
            self._is_prepared = True


async def _begin(connection: Any, transaction: Any, key: str) -> None:  # noqa: ANN401
    try:
        await transaction.start()
        await connection.execute(_RECORD, key)
    except asyncpg.UniqueViolationError as error:
        await transaction.rollback()
        raise AlreadyProcessedError from error
    except _FAILURES as error:
        raise ProcessedUnavailableError from error


async def _commit(transaction: Any) -> None:  # noqa: ANN401
    try:
        await transaction.commit()
    except _FAILURES as error:
        raise ProcessedUnavailableError from error
