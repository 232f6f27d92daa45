"""The port `Replays` and the reports of the outbox, on SQLite and on PostgreSQL."""

from datetime import timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.replays import DatabaseReplays
from healthingest_service.uploads.model import DeferralReason, Upload, UploadId
from healthingest_service.uploads.relay_ports import DeferredMessage, ReplaySelection
from support.uploads import NOON, Clock, message, upload

SECOND = timedelta(seconds=1)


@pytest.fixture
def clock() -> Clock:
    """An hour after noon."""
    return Clock(NOON + timedelta(hours=1))


@pytest.fixture
def ledger(engine: AsyncEngine, clock: Clock) -> DatabaseLedger:
    """An empty ledger."""
    return DatabaseLedger(engine, timeout_seconds=5, clock=clock)


@pytest.fixture
def outbox(engine: AsyncEngine, clock: Clock) -> DatabaseOutbox:
    """An empty outbox."""
    return DatabaseOutbox(engine, timeout_seconds=5, clock=clock)


@pytest.fixture
def replays(engine: AsyncEngine) -> DatabaseReplays:
    """The same, from behind."""
    return DatabaseReplays(engine, timeout_seconds=5)


async def stored(
    ledger: DatabaseLedger, second: int, record_type: str = "HeartRateRecord"
) -> Upload:
    """An upload that came so many seconds after noon; its message waits."""
    at = NOON + second * SECOND
    new = upload(bytes([second]), at=at, record_type=record_type)
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, message(new, at=at), stored_at=at)
    return new


async def announce_all(outbox: DatabaseOutbox) -> None:
    """Empty the outbox."""
    async with outbox.claim(limit=100) as batch:
        for one in batch.messages:
            await batch.announced(one.id, at=NOON)


async def chosen(replays: DatabaseReplays, selection: ReplaySelection) -> list[UploadId]:
    """Ids, page by page."""
    ids: list[UploadId] = []
    while page := await replays.page(selection, after=ids[-1] if ids else None, limit=2):
        ids += [one.id for one in page]
    return ids


class TestReplays:
    async def test_chooses_by_id(self, replays: DatabaseReplays, ledger: DatabaseLedger) -> None:
        """
        Those that there are, in the order of time, announced or not.

        One that is being stored is none.
        """
        made = [await stored(ledger, second) for second in range(5)]
        begun = upload(b"begun")
        await ledger.begin(begun, idempotency_key=None, lease_seconds=60)
        wanted = frozenset(one.id for one in (made[3], made[1], made[4], begun, upload(b"unknown")))
        assert await chosen(replays, ReplaySelection(ids=wanted)) == [
            made[1].id,
            made[3].id,
            made[4].id,
        ]

    async def test_chooses_by_time_and_type(
        self, replays: DatabaseReplays, ledger: DatabaseLedger
    ) -> None:
        """From a time on, and before another, which belongs to the next range."""
        made = [
            await stored(ledger, second, ("HeartRateRecord", "Other")[second % 2])
            for second in range(6)
        ]
        wanted = ReplaySelection(received_from=NOON + SECOND, received_before=NOON + 5 * SECOND)
        assert await chosen(replays, wanted) == [one.id for one in made[1:5]]
        wanted = ReplaySelection(
            received_from=NOON, received_before=NOON + 5 * SECOND, record_type="Other"
        )
        assert await chosen(replays, wanted) == [made[1].id, made[3].id]

    async def test_puts_what_does_not_wait(
        self, replays: DatabaseReplays, ledger: DatabaseLedger, outbox: DatabaseOutbox
    ) -> None:
        """An announced upload gets a message, one whose message waits gets no second."""
        first = await stored(ledger, 1)
        await announce_all(outbox)
        second = await stored(ledger, 2)
        again = [message(first), message(second)]
        assert await replays.put(again) == 1
        assert await replays.put([message(first), message(second)]) == 0
        async with outbox.claim(limit=10) as batch:
            assert {one.id for one in batch.messages if one.upload_id == first.id} == {again[0].id}
            assert len(batch.messages) == 2
        await announce_all(outbox)
        found = await ledger.find(first.id)
        assert (found.state, found.announced_at) == ("announced", NOON)


class TestOutboxReports:
    async def test_tells_why_messages_wait(
        self, ledger: DatabaseLedger, outbox: DatabaseOutbox
    ) -> None:
        """By reason, and the oldest one by one; those that were never tried are no part of it."""
        made = [await stored(ledger, second) for second in range(3)]
        assert (await outbox.deferred_counts(), await outbox.deferred(limit=5)) == ({}, [])
        due_at = NOON + timedelta(hours=2)
        async with outbox.claim(limit=2) as batch:
            for one, reason in zip(batch.messages, DeferralReason, strict=False):
                await batch.failed(one.id, retry_at=due_at, reason=reason)
        assert await outbox.deferred_counts() == {
            DeferralReason.UNROUTABLE: 1,
            DeferralReason.REFUSED: 1,
        }
        key = message(made[0]).routing_key
        oldest = DeferredMessage(made[0].id, key, DeferralReason.UNROUTABLE, 1, NOON, due_at)
        assert await outbox.deferred(limit=1) == [oldest]
