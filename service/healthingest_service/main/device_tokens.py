"""Composes device tokens, and the work that hears of revocations by other processes."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

from healthingest_service.adapters.database import notifications
from healthingest_service.adapters.database.device_tokens import (
    REVOKED_CHANNEL,
    DatabaseDeviceTokens,
)
from healthingest_service.identity.device_access import DeviceTokens
from healthingest_service.identity.device_tokens import DeviceTokenId
from healthingest_service.main.runtime import Runtime, Work, database_url, utc_now
from healthingest_service.main.tls_files import database_tls_material

_CACHE: Final = timedelta(seconds=4)
"""Without a notification a revoked token is refused after this time, and within five seconds."""


def open_device_tokens(runtime: Runtime) -> tuple[DeviceTokens, tuple[Work, ...]]:
    """Return the use cases, and the work that listens, which SQLite does not have."""
    timeout_seconds = runtime.settings.database.timeout_seconds
    devices = DeviceTokens(
        DatabaseDeviceTokens(runtime.engine, timeout_seconds=timeout_seconds),
        cache=_CACHE,
        clock=utc_now,
    )
    if runtime.engine.dialect.name != "postgresql":
        return devices, ()

    def heard(payload: str) -> None:
        try:
            devices.forget(DeviceTokenId(UUID(payload)))
        except ValueError:  # `CONNECTED`, or not a notification of this version
            devices.forget_all()

    async def listen(stop: asyncio.Event) -> None:
        await notifications.listen(
            database_url(runtime.settings),
            REVOKED_CHANNEL,
            heard,
            stop,
            timeout_seconds=timeout_seconds,
            tls=database_tls_material(runtime.settings),
        )

    return devices, (listen,)
