"""Periodic removal of expired sessions and of ended device tokens."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.ports import DeviceTokenStore, Sessions

KEPT: Final = timedelta(days=90)
"""How long an ended device token is kept, so that its id can be explained."""


async def forget_expired(
    sessions: Sessions,
    tokens: DeviceTokenStore,
    *,
    clock: Callable[[], datetime],
    interval_seconds: float,
    stop: asyncio.Event,
) -> None:
    """Remove what has expired in every interval, until *stop* is set."""
    while not stop.is_set():
        with suppress(IdentityUnavailableError):  # the next round removes them
            await sessions.forget_expired(before=clock())
            await tokens.forget_ended(before=clock() - KEPT)
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_seconds):
                await stop.wait()
