"""The database of the commands of `healthingest-admin`."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import is_current
from healthingest_service.main.runtime import database_url
from healthingest_service.main.tls_files import database_tls_material
from healthingest_service.settings import Settings
from healthingest_service.uploads.errors import LedgerUnavailableError


@asynccontextmanager
async def open_admin_database(settings: Settings) -> AsyncIterator[AsyncEngine]:
    """
    Open the database.

    Raises:
        LedgerUnavailableError: it cannot be reached, or has another schema than this version.
    """
    timeout_seconds = settings.database.timeout_seconds
    async with open_engine(
        database_url(settings),
        pool_size=1,
        timeout_seconds=timeout_seconds,
        tls=database_tls_material(settings),
    ) as engine:
        if not await is_current(engine, timeout_seconds=timeout_seconds):
            raise LedgerUnavailableError
        yield engine
