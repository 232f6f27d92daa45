"""
Notifies the relays of other processes about new messages, with NOTIFY and LISTEN of PostgreSQL.

NOTIFY runs after the commit, in its own transaction. Within the transaction of the message it would
hold a server-wide lock until the commit is on disk, and commits would wait for each other. After a
lost notification the relay finds the message at its next poll. With SQLite the relay only polls.
"""

import asyncio
from contextlib import suppress
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_service.adapters.database import notifications
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.waiting import wait_for_any

CHANNEL: Final = "healthingest_outbox"
_GATHER_SECONDS: Final = 0.05
"""Pause between two notifications of a process; one stands for all messages before it."""
_UNTIL_STOP_SECONDS: Final = 3600.0


async def notify(
    engine: AsyncEngine, written: asyncio.Event, stop: asyncio.Event, *, timeout_seconds: float
) -> None:
    """Notify the listeners of the database each time *written* is set, until *stop* is set."""
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
    url: str,
    written: asyncio.Event,
    stop: asyncio.Event,
    *,
    timeout_seconds: float,
    tls: TlsMaterial = NO_TLS_MATERIAL,
) -> None:
    """Set *written* at each notification of another process, until *stop* is set."""
    await notifications.listen(
        url, CHANNEL, lambda _: written.set(), stop, timeout_seconds=timeout_seconds, tls=tls
    )
