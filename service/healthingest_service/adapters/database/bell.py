"""
Between processes: a message was written, so a relay need not wait until it looks by itself.

PostgreSQL's NOTIFY and LISTEN. The bell is rung after the commit, in a transaction of its own: a
NOTIFY within would hold a lock of the whole server until the commit is on disk, so commits would
queue up one by one. A bell that nobody hears, or that cannot be rung, costs the relay's idle time
and nothing else. SQLite has none: its relay looks by itself.
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
"""At most so often does one process ring: one ring tells of all messages before it."""
_UNTIL_STOP_SECONDS: Final = 3600.0
_ALIVE_SECONDS: Final = 30.0
"""So often a listener makes sure that its connection is one: a broken one stays silent, too."""
_AGAIN_SECONDS: Final = 1.0


async def ring(
    engine: AsyncEngine, written: asyncio.Event, stop: asyncio.Event, *, timeout_seconds: float
) -> None:
    """
    Each time *written* is set, tell whoever listens on the same database.

    Until *stop* is set.
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
    Set *written* whenever another process rings; until *stop* is set.

    It has a connection of its own.
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
            written.set()  # of what was written before, nobody told
            while not stop.is_set() and not lost.is_set():
                await wait_for_any(stop, lost, seconds=_ALIVE_SECONDS)
                async with asyncio.timeout(timeout_seconds):
                    await driver.execute("SELECT 1")
        finally:
            await connection.invalidate()  # closed, not kept for others: it would go on listening
