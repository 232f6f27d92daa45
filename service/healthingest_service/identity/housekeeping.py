"""Periodic removal of expired sessions."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.ports import Sessions


async def forget_expired_sessions(
    sessions: Sessions,
    *,
    clock: Callable[[], datetime],
    interval_seconds: float,
    stop: asyncio.Event,
) -> None:
    """Remove expired sessions in every interval, until *stop* is set."""
    while not stop.is_set():
        with suppress(IdentityUnavailableError):  # the next round removes them
            await sessions.forget_expired(before=clock())
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                await stop.wait()
