"""The port `IdempotencyKeys` on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.idempotency_keys import DatabaseIdempotencyKeys
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.uploads.errors import (
    IdempotencyKeyReusedError,
    LedgerUnavailableError,
)
from healthingest_service.uploads.model import IdempotencyKey, Upload
from support.uploads import NOON, Clock, message, owner, upload

KEY = IdempotencyKey("key")
DAY = timedelta(days=1)
ACCOUNT = owner()


class Uploads:
    """Uploads with keys, stored at the time of a clock."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.clock = Clock()
        self.keys = DatabaseIdempotencyKeys(engine, timeout_seconds=20)
        self._ledger = DatabaseLedger(engine, timeout_seconds=20, clock=self.clock)

    async def send(self, content: bytes, key: str) -> tuple[Upload, bool]:
        """Return the upload of these bytes, and whether it is an earlier one."""
        new = upload(content, of=ACCOUNT, at=self.clock.now)
        begun = await self._ledger.begin(new, idempotency_key=IdempotencyKey(key), lease_seconds=60)
        if not begun.replayed:
            await self._ledger.complete(new.id, message(new), stored_at=self.clock.now)
        return begun.upload, begun.replayed


async def test_an_old_key_is_forgotten(engine: AsyncEngine) -> None:
    """It may be used for other bytes; the same bytes still get their first receipt."""
    uploads = Uploads(engine)
    first, _ = await uploads.send(b"1", KEY)
    assert await uploads.keys.forget_expired(before=NOON, limit=9) == 0
    with pytest.raises(IdempotencyKeyReusedError):
        await uploads.send(b"2", KEY)
    assert await uploads.keys.forget_expired(before=NOON + DAY, limit=9) == 1
    uploads.clock.now += DAY
    again, replayed = await uploads.send(b"1", "another")
    assert (again.id, replayed) == (first.id, True)
    other, replayed = await uploads.send(b"2", KEY)
    assert (other.id != first.id, replayed) == (True, False)


async def test_a_young_key_of_an_old_upload_stays(engine: AsyncEngine) -> None:
    """Its own age counts."""
    uploads = Uploads(engine)
    await uploads.send(b"1", "old")
    uploads.clock.now += 2 * DAY
    await uploads.send(b"1", "young")
    assert await uploads.keys.forget_expired(before=NOON + DAY, limit=9) == 1
    with pytest.raises(IdempotencyKeyReusedError):
        await uploads.send(b"2", "young")


async def test_a_batch_has_a_limit(engine: AsyncEngine) -> None:
    """Also if an upload has many keys."""
    uploads = Uploads(engine)
    for number in range(5):
        await uploads.send(b"1", f"{number}")
    found = [await uploads.keys.forget_expired(before=NOON + DAY, limit=3) for _ in range(3)]
    assert found == [3, 2, 0]


async def test_a_dead_database_is_unavailable() -> None:
    """Nobody listens there."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=1
    ) as engine:
        with pytest.raises(LedgerUnavailableError):
            await DatabaseIdempotencyKeys(engine, 1).forget_expired(before=NOON, limit=1)
