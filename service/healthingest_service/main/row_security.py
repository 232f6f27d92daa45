"""Reports whether the database restricts queries for a study to its rows."""

import asyncio
from typing import Final

import structlog

from healthingest_service.adapters.database import row_security
from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.main.runtime import Runtime, Work, after_schema

ROW_SECURITY_MISSING: Final = "row_security_missing"
_NO_STUDY: Final = ""


def report_row_security(runtime: Runtime) -> tuple[Work, ...]:
    """
    Return work that sets the metric once, and logs a warning if nothing is restricted.

    SQLite has no row-level security, and its metric stays 0.
    """

    async def report(_stop: asyncio.Event) -> None:
        async with transaction(
            runtime.engine,
            timeout_seconds=runtime.settings.database.timeout_seconds,
            writes=False,
            study=_NO_STUDY,
        ) as connection:
            is_restricted = await row_security.is_restricted(connection)
        runtime.metrics.row_security.set(is_restricted)
        if not is_restricted:
            structlog.get_logger("healthingest.main").warning(ROW_SECURITY_MISSING)

    return (after_schema(runtime, report),) if is_postgresql(runtime.engine) else ()
