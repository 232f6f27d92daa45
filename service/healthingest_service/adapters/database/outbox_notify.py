"""
PostgreSQL's NOTIFY and LISTEN tell the relay of other processes that a message was written.

NOTIFY runs after the commit, in its own transaction: within the first one it would hold a lock of
the whole server until the commit is on disk, so commits would queue up. A lost notification costs
the relay's idle time and nothing else. SQLite has no NOTIFY: its relay polls.
"""

import asyncio
from contextlib import suppress
from typing import Final

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.waiting import wait_for_any

CHANNEL: Final = "healthingest_outbox"
_GATHER_SECONDS: Final = 0.05
"""Pause between notifications of a process: one covers all messages before it."""
_UNTIL_STOP_SECONDS: Final = 3600.0
_ALIVE_SECONDS: Final = 30.0
"""Interval of the check that the connection is alive: a broken one is silent."""
_AGAIN_SECONDS: Final = 1.0


async def notify(
    engine: AsyncEngine, written: asyncio.Event, stop: asyncio.Event, *, timeout_seconds: float
) -> None:
    """
    Each time *written* is set, notify the listeners of the same database.

    Runs until *stop* is set.
    """
    while not stop.is_set():
        await wait_for_any(stop, written, seconds=_UNTIL_STOP_SECONDS)
        if not written.is_set():
            continue
        written.clear()
        with suppress(LedgerUnavailableError):
            async with transaction(
                engine, timeout_seconds=timeout_seconds, single=True
            ) as connection:
                await connection.execute(
                    text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL}
                )
        await wait_for_any(stop, seconds=_GATHER_SECONDS)


async def listen(
    url: str, written: asyncio.Event, stop: asyncio.Event, *, timeout_seconds: float
) -> None:
    """
    Set *written* whenever another process notifies, until *stop* is set.

    It has its own connection.
    """
    async with open_engine(url, pool_size=1, timeout_seconds=timeout_seconds) as engine:
        while not stop.is_set():
            with suppress(
                TimeoutError,
                PoolTimeoutError,
                DBAPIError,
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
            ):
                await _listen(engine, written, stop, timeout_seconds)
            await wait_for_any(stop, seconds=_AGAIN_SECONDS)


async def _listen(
    engine: AsyncEngine, written: asyncio.Event, stop: asyncio.Event, timeout_seconds: float
) -> None:
    lost = asyncio.Event()
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            return
        driver.add_termination_listener(lambda _connection: lost.set())
        try:
            async with asyncio.timeout(timeout_seconds):
                await driver.add_listener(CHANNEL, lambda *_: written.set())
            written.set()  # messages written earlier were not notified
            while not stop.is_set() and not lost.is_set():
                await wait_for_any(stop, lost, seconds=_ALIVE_SECONDS)
                async with asyncio.timeout(timeout_seconds):
                    await driver.execute("SELECT 1")
        finally:
            await connection.invalidate()  # closed, not kept for others: it would go on listening
