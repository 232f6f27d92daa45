"""Periodic removal of expired sessions and tokens."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Protocol

from healthingest_service.identity.errors import IdentityUnavailableError


class Expiring(Protocol):
    """A port whose rows expire, such as `Sessions` and `MailTokens`."""

    async def forget_expired(self, *, before: datetime) -> int:
        """
        Remove what expired before *before*; returns its number.

        Raises:
            IdentityUnavailableError: no clear answer; a repeat is safe.
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
                await port.forget_expired(before=clock())
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                await stop.wait()
