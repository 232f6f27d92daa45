"""The core on an embedded database and a store in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from support.fakes import MemoryStore
from support.migrated import migrate_by_copy
from support.uploads import Clock


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    """An empty database."""
    url = f"sqlite:///{tmp_path}/health.db"
    await migrate_by_copy(url)
    async with open_engine(url, pool_size=3, timeout_seconds=5) as opened:
        yield opened


@pytest.fixture
def ledger(engine: AsyncEngine, clock: Clock) -> DatabaseLedger:
    """An empty ledger."""
    return DatabaseLedger(engine, timeout_seconds=5, clock=clock)


@pytest.fixture
def outbox(engine: AsyncEngine, clock: Clock) -> DatabaseOutbox:
    """An empty outbox."""
    return DatabaseOutbox(engine, timeout_seconds=5, claim_seconds=60, clock=clock)


@pytest.fixture
def store() -> MemoryStore:
    """An empty store."""
    return MemoryStore()
