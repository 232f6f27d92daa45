"""Listens to a channel of PostgreSQL, with a connection of its own."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.uploads.waiting import wait_for_any

CONNECTED: Final = ""
"""The payload that stands for all notifications before the connection was opened."""
_ALIVE_SECONDS: Final = 30.0
"""Interval of the check that the connection works, because a broken one gives no signal."""
_RECONNECT_SECONDS: Final = 1.0


async def listen(  # noqa: PLR0913 - address, channel and what to do, each by its name
    url: str,
    channel: str,
    heard: Callable[[str], None],
    stop: asyncio.Event,
    *,
    timeout_seconds: float,
    tls: TlsMaterial = NO_TLS_MATERIAL,
) -> None:
    """
    Call *heard* with the payload of each notification on *channel*, until *stop* is set.

    After each new connection it is called with `CONNECTED`: notifications may have been missed.
    """
    async with open_engine(url, pool_size=1, timeout_seconds=timeout_seconds, tls=tls) as engine:
        while not stop.is_set():
            with suppress(
                TimeoutError,
                PoolTimeoutError,
                DBAPIError,
                OSError,
                asyncpg.PostgresError,
                asyncpg.InterfaceError,
            ):
                await _listen(engine, channel, heard, stop, timeout_seconds)
            await wait_for_any(stop, seconds=_RECONNECT_SECONDS)


async def _listen(
    engine: AsyncEngine,
    channel: str,
    heard: Callable[[str], None],
    stop: asyncio.Event,
    timeout_seconds: float,
) -> None:
    lost = asyncio.Event()
    async with engine.connect() as connection:
        driver = (await connection.get_raw_connection()).driver_connection
        if driver is None:
            return
        driver.add_termination_listener(lambda _connection: lost.set())
        try:
            async with asyncio.timeout(timeout_seconds):
                await driver.add_listener(channel, lambda *found: heard(found[-1]))
            heard(CONNECTED)
            while not stop.is_set() and not lost.is_set():
                await wait_for_any(stop, lost, seconds=_ALIVE_SECONDS)
                async with asyncio.timeout(timeout_seconds):
                    await driver.execute("SELECT 1")
        finally:
            await connection.invalidate()  # a pooled connection would go on listening
