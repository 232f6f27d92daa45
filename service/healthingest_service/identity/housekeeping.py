"""Periodic removal of expired rows, in batches."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final, Protocol

from healthingest_service.identity.errors import IdentityUnavailableError

BATCH: Final = 1000
"""Rows that one transaction removes: few enough for its deadline, however many have expired."""


class Expiring(Protocol):
    """A port whose rows expire, such as `Sessions` and `MailTokens`."""

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """
        Remove up to *limit* rows that expired before *before*, in one transaction.

        Returns the number of removed rows; if it is less than *limit*, none is left. If the
        database gives no clear answer, it raises the error of the port; repeating is safe.
        """
        ...


async def forget_expired(
    ports: Sequence[Expiring],
    *,
    clock: Callable[[], datetime],
    interval_seconds: float,
    stop: asyncio.Event,
) -> None:
    """Remove the expired rows of all *ports* in every interval, until *stop* is set."""
    while not stop.is_set():
        for port in ports:
            with suppress(IdentityUnavailableError):  # the next round removes them
                await forget_all(port, before=clock(), stop=stop)
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                await stop.wait()


async def forget_all(port: Expiring, *, before: datetime, stop: asyncio.Event) -> int:
    """
    Remove all rows that expired before *before*, batch by batch, and return their number.

    It ends early when *stop* is set. It raises the errors of the port; batches that are done stay
    so.
    """
    removed = 0
    while not stop.is_set():
        some = await port.forget_expired(before=before, limit=BATCH)
        removed += some
        if some < BATCH:
            break
    return removed
