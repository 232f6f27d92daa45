"""The port `ResumableUploads`, on SQLite and on PostgreSQL."""

import asyncio

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.uploads import resumable as errors
from healthingest_service.uploads.model import Finding
from healthingest_service.uploads.resumable import Resumable, ResumableId, ResumableState
from support.resumables import LIFETIME_SECONDS, part, resumable
from support.uploads import NOON, Clock, owner, upload

LEASE_SECONDS = 60.0
FINDING = Finding("bad-record", "The record is bad.", "Mend it.", block=1, record=2)


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def uploads(engine: AsyncEngine, clock: Clock) -> DatabaseResumableUploads:
    """Empty."""
    return DatabaseResumableUploads(engine, 5, LIFETIME_SECONDS, clock)


async def begun(uploads: DatabaseResumableUploads, size_bytes: int = 100) -> Resumable:
    """Return one that a request has."""
    new = resumable(size_bytes)
    await uploads.create(new, limit=10)
    taken = await uploads.take(new.id, lease_seconds=LEASE_SECONDS, force=False)
    assert taken is not None
    return taken


async def add(uploads: DatabaseResumableUploads, of: Resumable, first: int, size: int) -> None:
    """Store a part."""
    added = part(of, first, size)
    await uploads.begin_part(of.id, of.writer, added, lease_seconds=LEASE_SECONDS)
    await uploads.add_part(of.id, of.writer, added)


async def test_is_kept_as_it_was_made(uploads: DatabaseResumableUploads) -> None:
    """Its owner finds it; nobody else does."""
    new = resumable()
    await uploads.create(new, limit=1)
    assert await uploads.find(new.id, new.owner) == new
    with pytest.raises(errors.ResumableNotFoundError):
        await uploads.find(new.id, owner())


async def test_an_account_has_a_limited_number(uploads: DatabaseResumableUploads) -> None:
    """Only those that receive count, and only of this account."""
    account = owner()
    first, second = resumable(of=account), resumable(of=account)
    await uploads.create(first, limit=1)
    await uploads.create(resumable(), limit=1)
    with pytest.raises(errors.TooManyResumableError):
        await uploads.create(second, limit=1)
    await uploads.end(first.id)
    await uploads.create(second, limit=1)


async def test_one_request_at_a_time_has_it(uploads: DatabaseResumableUploads) -> None:
    """Of many that take it at once one gets it; the next one after its release."""
    new = resumable()
    await uploads.create(new, limit=1)
    taken = await asyncio.gather(
        *(uploads.take(new.id, lease_seconds=LEASE_SECONDS, force=False) for _ in range(4))
    )
    (winner,) = (one for one in taken if one is not None)
    assert (await uploads.find(new.id, new.owner)).is_busy
    await uploads.release(new.id, winner.writer)
    again = await uploads.take(new.id, lease_seconds=LEASE_SECONDS, force=False)
    assert again is not None
    assert again.writer > winner.writer


async def test_a_request_that_was_replaced_adds_nothing(
    uploads: DatabaseResumableUploads,
) -> None:
    """Also if its bytes were on their way, and also if it releases the upload afterwards."""
    old = await begun(uploads)
    late = part(old, 0, 10)
    new = await uploads.take(old.id, lease_seconds=LEASE_SECONDS, force=True)
    assert new is not None
    with pytest.raises(errors.ReplacedError):
        await uploads.add_part(old.id, old.writer, late)
    with pytest.raises(errors.ReplacedError):
        await uploads.begin_part(old.id, old.writer, late, lease_seconds=LEASE_SECONDS)
    await uploads.release(old.id, old.writer)
    found = await uploads.find(old.id, old.owner)
    assert (found.received_bytes, found.is_busy) == (0, True)


async def test_a_request_that_stores_a_part_is_not_replaced(
    uploads: DatabaseResumableUploads, clock: Clock
) -> None:
    """Before the part is stored, or its lease has ended; then it can be."""
    old = await begun(uploads)
    await uploads.begin_part(old.id, old.writer, part(old, 0, 10), lease_seconds=LEASE_SECONDS)
    assert await uploads.take(old.id, lease_seconds=LEASE_SECONDS, force=True) is None
    await uploads.add_part(old.id, old.writer, part(old, 0, 10))
    new = await uploads.take(old.id, lease_seconds=LEASE_SECONDS, force=True)
    assert new is not None
    await uploads.begin_part(new.id, new.writer, part(new, 10, 5), lease_seconds=LEASE_SECONDS)
    clock.move(LEASE_SECONDS + 1)
    assert await uploads.take(old.id, lease_seconds=LEASE_SECONDS, force=False) is not None


async def test_a_lease_ends_by_itself(uploads: DatabaseResumableUploads, clock: Clock) -> None:
    """A process that has ended keeps nobody waiting."""
    old = await begun(uploads)
    clock.move(LEASE_SECONDS + 1)
    assert not (await uploads.find(old.id, old.owner)).is_busy
    assert await uploads.take(old.id, lease_seconds=LEASE_SECONDS, force=False) is not None


async def test_parts_come_in_the_order_of_their_bytes(
    uploads: DatabaseResumableUploads, clock: Clock
) -> None:
    """One whose object may not be stored is not among them; each moves the end of the time."""
    taken = await begun(uploads)
    await add(uploads, taken, 0, 40)
    clock.move(10)
    await add(uploads, taken, 40, 20)
    unsure = part(taken, 60, 5)
    await uploads.begin_part(taken.id, taken.writer, unsure, lease_seconds=LEASE_SECONDS)
    found = await uploads.find(taken.id, taken.owner)
    assert found.received_bytes == 60
    assert (found.expires_at - NOON).total_seconds() == LIFETIME_SECONDS + 10
    assert await uploads.stored_parts(taken.id) == [part(taken, 0, 40), part(taken, 40, 20)]


async def test_has_a_limited_number_of_parts(
    uploads: DatabaseResumableUploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A part too many is refused."""
    module = "healthingest_service.adapters.database.resumable_uploads.MAX_PARTS"
    monkeypatch.setattr(module, 2)
    taken = await begun(uploads)
    await add(uploads, taken, 0, 1)
    await add(uploads, taken, 1, 1)
    with pytest.raises(errors.TooManyPartsError):
        await add(uploads, taken, 2, 1)


async def test_a_finished_one_names_its_upload(uploads: DatabaseResumableUploads) -> None:
    """It takes no more bytes."""
    taken = await begun(uploads)
    receipt = upload(b"x" * 100).receipt
    await uploads.finish(taken.id, receipt)
    await uploads.finish(taken.id, receipt)
    found = await uploads.find(taken.id, taken.owner)
    assert (found.state, found.upload_id) == (ResumableState.FINISHED, receipt.upload_id)
    assert found.received_bytes == found.size_bytes == 100
    with pytest.raises(errors.ResumableEndedError):
        await uploads.take(taken.id, lease_seconds=LEASE_SECONDS, force=True)
    with pytest.raises(errors.ResumableEndedError):
        await add(uploads, taken, 0, 1)


async def test_a_refused_one_says_why(uploads: DatabaseResumableUploads) -> None:
    """The findings are kept as they were."""
    taken = await begun(uploads)
    await uploads.refuse(taken.id, [FINDING])
    found = await uploads.find(taken.id, taken.owner)
    assert (found.state, found.findings) == (ResumableState.REFUSED, (FINDING,))


class TestOver:
    async def test_nothing_is_removed_of_one_that_can_go_on(
        self, uploads: DatabaseResumableUploads
    ) -> None:
        """Neither by the janitor nor by somebody who names it."""
        taken = await begun(uploads)
        await uploads.release(taken.id, taken.writer)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is None
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS, only=taken.id) is None

    async def test_an_expired_one_goes_with_all_its_parts(
        self, uploads: DatabaseResumableUploads, clock: Clock
    ) -> None:
        """Also with one whose object may or may not be stored."""
        taken = await begun(uploads)
        await add(uploads, taken, 0, 40)
        unsure = part(taken, 40, 5)
        await uploads.begin_part(taken.id, taken.writer, unsure, lease_seconds=LEASE_SECONDS)
        clock.move(LIFETIME_SECONDS + 1)
        with pytest.raises(errors.ResumableEndedError):
            await uploads.take(taken.id, lease_seconds=LEASE_SECONDS, force=True)
        ended = await uploads.take_ended(lease_seconds=LEASE_SECONDS)
        assert ended is not None
        assert set(ended.keys) == {part(taken, 0, 40).key, unsure.key}
        assert not ended.is_kept
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is None
        await uploads.forget(ended)
        with pytest.raises(errors.ResumableNotFoundError):
            await uploads.find(taken.id, taken.owner)
        assert not await uploads.stored_parts(taken.id)

    async def test_waits_for_a_part_that_may_be_on_its_way(
        self, uploads: DatabaseResumableUploads, clock: Clock
    ) -> None:
        """It was terminated while a request stored a part."""
        taken = await begun(uploads)
        await uploads.end(taken.id)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is None
        clock.move(LEASE_SECONDS + 1)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is not None

    async def test_a_result_is_known_for_a_while(
        self, uploads: DatabaseResumableUploads, clock: Clock
    ) -> None:
        """The parts of a finished one go at once, its row after its time."""
        taken = await begun(uploads)
        await add(uploads, taken, 0, 40)
        await uploads.finish(taken.id, upload().receipt)
        first = await uploads.take_ended(lease_seconds=LEASE_SECONDS)
        assert first is not None
        assert first.is_kept
        await uploads.forget(first)
        assert (await uploads.find(taken.id, taken.owner)).state is ResumableState.FINISHED
        clock.move(LIFETIME_SECONDS + 1)
        second = await uploads.take_ended(lease_seconds=LEASE_SECONDS)
        assert second is not None
        assert (second.keys, second.is_kept) == ([], False)
        await uploads.forget(second)
        assert await uploads.existing([taken.id, ResumableId(owner())]) == frozenset()

    async def test_a_removal_that_failed_is_tried_again(
        self, uploads: DatabaseResumableUploads, clock: Clock
    ) -> None:
        """After the lease, or when the lock of a part ends."""
        taken = await begun(uploads)
        await uploads.release(taken.id, taken.writer)
        await uploads.end(taken.id)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is not None
        clock.move(LEASE_SECONDS + 1)
        again = await uploads.take_ended(lease_seconds=LEASE_SECONDS)
        assert again is not None
        await uploads.postpone(again.id, until=None)
        clock.move(86_000)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is None
        clock.move(500)
        assert await uploads.take_ended(lease_seconds=LEASE_SECONDS) is not None
        assert await uploads.existing([taken.id]) == {taken.id}
