"""Opens the tracing of a process, if the settings name a collector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module

from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.telemetry.tracing import NO_TRACING, Tracing, TracingRules


@asynccontextmanager
async def open_tracing(settings: Settings, *, service: str, version: str) -> AsyncIterator[Tracing]:
    """
    Yield the tracing of the process *service*; waiting spans are sent at the end.

    Raises:
        InvalidSettingsError: the extra `tracing` is not installed.
    """
    wanted = settings.tracing
    if wanted.endpoint is None:
        yield NO_TRACING
        return
    rules = TracingRules(
        wanted.endpoint, wanted.sample_ratio, wanted.timeout_seconds, service, version
    )
    try:
        # Imported only here: the packages are optional and slow to import.
        found = import_module("healthingest_service.telemetry.open_telemetry")
    except ImportError as error:
        message = (
            "HEALTHINGEST_TRACING__ENDPOINT: needs OpenTelemetry: install healthingest[tracing],"
            " or remove the setting"
        )
        raise InvalidSettingsError(message) from error
    tracing = found.OpenTelemetry(rules)
    try:
        yield tracing
    finally:
        await asyncio.to_thread(tracing.close)
