"""The ports `ScheduledJobs` and `KeptUploads`, on SQLite and on PostgreSQL."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.upkeep_ports import KeptUpload
from support.uploads import NOON, Clock, message, upload

LEASE_SECONDS = 60.0


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def jobs(engine: AsyncEngine, clock: Clock) -> DatabaseScheduledJobs:
    """No job yet."""
    return DatabaseScheduledJobs(engine, timeout_seconds=5, clock=clock)


class TestDuties:
    async def test_one_process_takes_it(self, jobs: DatabaseScheduledJobs) -> None:
        """Of many concurrent claims exactly one succeeds, and starts at the beginning."""
        taken = await asyncio.gather(
            *(jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) for _ in range(5))
        )
        assert sorted(taken, key=str) == ["", None, None, None, None]
        assert await jobs.take("other", 7, lease_seconds=LEASE_SECONDS) == ""

    async def test_goes_on_where_the_dead_one_was(
        self, jobs: DatabaseScheduledJobs, clock: Clock
    ) -> None:
        """After the lease has expired or was released, and not before."""
        await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS)
        await jobs.note("consistency", 7, "raw/x", lease_seconds=LEASE_SECONDS)
        clock.move(LEASE_SECONDS - 1)
        assert await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) is None
        clock.move(2)
        assert await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) == "raw/x"
        await jobs.note("consistency", 7, "raw/y", lease_seconds=0)
        assert await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) == "raw/y"

    async def test_is_done_once_an_interval(
        self, jobs: DatabaseScheduledJobs, clock: Clock
    ) -> None:
        """
        A finished job is free in the next interval, and starts at the beginning.

        The time of its end is kept.
        """
        assert await jobs.finished_at("consistency") is None
        await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS)
        await jobs.note("consistency", 7, "raw/x", lease_seconds=LEASE_SECONDS)
        await jobs.finish("consistency", 7)
        await jobs.note("consistency", 7, "raw/x", lease_seconds=0)
        assert await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) is None
        clock.move(5)
        assert await jobs.take("consistency", 8, lease_seconds=LEASE_SECONDS) == ""
        assert await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS) is None
        assert await jobs.finished_at("consistency") == NOON

    async def test_a_living_one_is_not_overtaken(self, jobs: DatabaseScheduledJobs) -> None:
        """A job that takes longer than an interval may finish first."""
        await jobs.take("consistency", 7, lease_seconds=LEASE_SECONDS)
        assert await jobs.take("consistency", 8, lease_seconds=LEASE_SECONDS) is None


class TestKeptUploads:
    @pytest.fixture
    def ledger(self, engine: AsyncEngine, clock: Clock) -> DatabaseLedger:
        """An empty ledger."""
        return DatabaseLedger(engine, timeout_seconds=5, clock=clock)

    @pytest.fixture
    def kept(self, engine: AsyncEngine, clock: Clock) -> DatabaseKeptUploads:
        """The same, by key."""
        return DatabaseKeptUploads(engine, timeout_seconds=5, clock=clock)

    async def stored(self, ledger: DatabaseLedger, record_type: str) -> Upload:
        """An upload that is kept."""
        new = upload(record_type.encode(), record_type=record_type)
        await ledger.begin(new, idempotency_key=None, lease_seconds=LEASE_SECONDS)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        return new

    async def test_lists_in_the_order_of_bytes(
        self, ledger: DatabaseLedger, kept: DatabaseKeptUploads
    ) -> None:
        """
        Capitals before `_` before small letters, whatever the collation of the database.

        With the limits after, until, and at most.
        """
        made = {name: await self.stored(ledger, name) for name in ("b", "B", "_", "a", "A", "AB")}
        keys = {name: one.receipt.object_key for name, one in made.items()}
        everything = await kept.between("", "raw0", limit=10)
        assert [one.key for one in everything] == [
            keys[name] for name in ("A", "AB", "B", "_", "a", "b")
        ]
        assert [one.key for one in await kept.between(keys["A"], keys["B"], limit=10)] == [
            keys["AB"],
            keys["B"],
        ]
        assert [one.key for one in await kept.between("", "raw0", limit=1)] == [keys["A"]]
        first = made["A"].receipt
        size_bytes = first.file_size_bytes
        sha256 = first.file_hash
        assert everything[0] == KeptUpload(
            first.upload_id, first.object_key, size_bytes, sha256, NOON
        )

    async def test_tells_what_is_being_stored(
        self, ledger: DatabaseLedger, kept: DatabaseKeptUploads, clock: Clock
    ) -> None:
        """A row `storing` is known but not kept; it is in progress while its lease lasts."""
        new = upload()
        await ledger.begin(new, idempotency_key=None, lease_seconds=LEASE_SECONDS)
        key = new.receipt.object_key
        assert await kept.between("", "raw0", limit=10) == []
        assert await kept.with_rows({key, "raw/other"}) == {key}
        assert await kept.being_stored({key, "raw/other"}) == {key}
        clock.move(LEASE_SECONDS + 1)
        assert await kept.being_stored({key, "raw/other"}) == frozenset()
        assert await kept.with_rows(set()) == frozenset()
