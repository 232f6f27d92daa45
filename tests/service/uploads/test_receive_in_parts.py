"""Files that arrive in several requests, on an embedded database and a store in memory."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.uploads import resumable as errors
from healthingest_service.uploads.accept import AcceptUpload
from healthingest_service.uploads.errors import (
    BodyIncompleteError,
    FileRefusedError,
    FileTooLargeError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import Finding, Upload
from healthingest_service.uploads.receive_in_parts import (
    NextBytes,
    PartRules,
    Progress,
    ReceiveInParts,
)
from healthingest_service.uploads.remove_parts import RemoveParts
from healthingest_service.uploads.resumable import Part, Resumable, ResumableId, ResumableState
from support.fakes import MemoryStore, ReadyResult
from support.resumables import LIFETIME_SECONDS
from support.uploads import BUCKET, Clock, owner, principal, sha256

CONTENT = bytes(range(100))
PART_BYTES = 16
RULES = PartRules(
    max_file_bytes=1000,
    part_bytes=PART_BYTES,
    max_open=3,
    lifetime_seconds=LIFETIME_SECONDS,
    lease_seconds=60,
    patience_seconds=0.3,
)
FINDING = Finding("bad-record", "The record is bad.", "Mend it.")


async def sent(content: bytes, *, cut_after: int | None = None) -> AsyncIterator[bytes]:
    """Seven bytes at a time, until the connection is cut."""
    for start in range(0, len(content), 7):
        if cut_after is not None and start >= cut_after:
            raise BodyIncompleteError
        await asyncio.sleep(0)
        yield content[start : start + 7]
    if cut_after is not None:
        raise BodyIncompleteError


class World:
    """Everything around the use case."""

    def __init__(
        self,
        engine: AsyncEngine,
        ledger: DatabaseLedger,
        store: MemoryStore,
        clock: Clock,
        folder: Path,
    ) -> None:
        self.clock = clock
        self.ledger = ledger
        self.store = store
        self.gate = ReadyResult()
        self.spool = DiskSpool(folder / "spool", max_bytes=4000)
        self.account = owner()
        self.uploads = DatabaseResumableUploads(engine, 5, LIFETIME_SECONDS, self.clock)
        self.accept = AcceptUpload(
            ledger=ledger,
            store=store,
            gate=self.gate,
            spool=self.spool,
            bucket=BUCKET,
            max_file_bytes=RULES.max_file_bytes,
            lease_seconds=60,
            clock=self.clock,
        )
        self.receive = self.replica(RULES)

    def replica(self, rules: PartRules) -> ReceiveInParts:
        """Return the use case of another process."""
        return ReceiveInParts(
            uploads=self.uploads,
            store=self.store,
            spool=self.spool,
            accept=self.accept,
            rules=rules,
            clock=self.clock,
        )

    async def begun(self, size_bytes: int | None = len(CONTENT)) -> Resumable:
        """Return a new resumable upload."""
        return await self.receive.create(
            principal(self.account), size_bytes, intake=None, metadata=""
        )

    async def append(
        self,
        of: Resumable,
        body: AsyncIterator[bytes],
        *,
        first_byte: int = 0,
        all_or_none: bool = False,
        completes: bool | None = None,
    ) -> Progress:
        """Send bytes."""
        following = NextBytes(
            principal=principal(self.account),
            first_byte=first_byte,
            body=body,
            correlation_id="correlation",
            all_or_none=all_or_none,
            completes=completes,
        )
        return await self.receive.append(of.id, following)

    async def state(self, of: Resumable) -> Resumable:
        """Return it as a client sees it."""
        return await self.receive.settled(of.id, self.account)

    async def rows(self) -> tuple[Upload, ...]:
        """The owner's uploads."""
        return (await self.ledger.history(self.account, limit=10)).uploads

    def part_keys(self) -> list[str]:
        """The keys of stored parts."""
        return [key for key in self.store.objects if key.startswith("parts/")]


@pytest.fixture
def world(
    engine: AsyncEngine, ledger: DatabaseLedger, store: MemoryStore, clock: Clock, tmp_path: Path
) -> World:
    """Empty."""
    return World(engine, ledger, store, clock, tmp_path)


async def test_a_file_in_one_request_is_accepted_like_any(world: World) -> None:
    """It is one upload, and no part stays."""
    new = await world.begun()
    progress = await world.append(new, sent(CONTENT))
    (row,) = await world.rows()
    assert progress.accepted is not None
    assert progress.accepted.receipt == row.receipt
    assert world.store.objects == {row.receipt.object_key: CONTENT}
    found = await world.state(new)
    assert (found.state, found.upload_id) == (ResumableState.FINISHED, row.id)
    assert world.spool.free_bytes == 4000


async def test_a_request_that_was_cut_keeps_its_bytes(world: World) -> None:
    """Each byte is sent once; the upload exists with the last one, not before."""
    new = await world.begun()
    at = 0
    while at < len(CONTENT):
        assert not await world.rows()
        try:
            await world.append(new, sent(CONTENT[at:], cut_after=30), first_byte=at)
        except BodyIncompleteError:
            following = (await world.state(new)).received_bytes
            assert following == min(at + 35, len(CONTENT)) < len(CONTENT)
            at = following
        else:  # pragma: no cover - each request is cut
            raise AssertionError
        if len(CONTENT) - at <= 30:
            await world.append(new, sent(CONTENT[at:]), first_byte=at)
            break
    (row,) = await world.rows()
    assert row.receipt.file_hash == sha256(CONTENT)
    assert world.store.objects == {row.receipt.object_key: CONTENT}


async def test_several_whole_requests_make_one_file(world: World) -> None:
    """As a client sends it that cuts the file itself."""
    new = await world.begun()
    first = await world.append(new, sent(CONTENT[:40]))
    assert (first.resumable.received_bytes, first.accepted) == (40, None)
    last = await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert last.accepted is not None
    assert last.accepted.receipt.file_hash == sha256(CONTENT)


async def test_a_file_of_unknown_size_ends_when_its_client_says_so(world: World) -> None:
    """Not before, however many bytes there are; the last request may have none."""
    new = await world.begun(size_bytes=None)
    first = await world.append(new, sent(CONTENT[:40]), completes=False)
    assert first.resumable.received_bytes == 40
    second = await world.append(new, sent(CONTENT[40:]), first_byte=40, completes=False)
    assert (second.resumable.received_bytes, second.accepted) == (100, None)
    done = await world.append(new, sent(b""), first_byte=100, completes=True)
    assert done.accepted is not None
    assert done.accepted.receipt.file_hash == sha256(CONTENT)
    whole = await world.begun(size_bytes=None)
    again = await world.append(whole, sent(CONTENT), completes=True)
    assert again.accepted is not None
    assert again.accepted.replayed


async def test_a_process_that_ends_loses_at_most_a_part(world: World) -> None:
    """What was stored before is there for another process."""
    new = await world.begun()
    reached = asyncio.Event()

    async def never_ends() -> AsyncIterator[bytes]:
        async for chunk in sent(CONTENT[:70]):
            yield chunk
        reached.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(world.append(new, never_ends()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    found = await world.state(new)
    assert 70 - PART_BYTES - 7 < found.received_bytes <= 70
    rest = await world.append(
        new, sent(CONTENT[found.received_bytes :]), first_byte=found.received_bytes
    )
    assert rest.accepted is not None
    assert rest.accepted.receipt.file_hash == sha256(CONTENT)


async def test_a_client_that_vanished_does_not_keep_the_next_one_waiting(world: World) -> None:
    """The old request loses the upload, and adds nothing afterwards."""
    new = await world.begun()
    gone = asyncio.Event()
    back = asyncio.Event()

    async def hangs() -> AsyncIterator[bytes]:
        yield CONTENT[:20]
        gone.set()
        await back.wait()
        yield CONTENT[20:50]

    old = asyncio.create_task(world.append(new, hangs()))
    await gone.wait()
    found = await world.state(new)
    done = await world.append(
        new, sent(CONTENT[found.received_bytes :]), first_byte=found.received_bytes
    )
    assert done.accepted is not None
    back.set()
    with pytest.raises((errors.ReplacedError, errors.ResumableEndedError)):
        await old
    (row,) = await world.rows()
    assert row.receipt.file_hash == sha256(CONTENT)


async def test_other_bytes_than_the_next_are_refused(world: World) -> None:
    """The answer says how many the service has."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    for first_byte in (0, 39, 41, 100):
        with pytest.raises(errors.OffsetMismatchError) as refused:
            await world.append(new, sent(CONTENT[first_byte:]), first_byte=first_byte)
        assert refused.value.received_bytes == 40


async def test_more_bytes_than_declared_are_refused(world: World) -> None:
    """The bytes of earlier requests stay."""
    new = await world.begun(size_bytes=50)
    await world.append(new, sent(CONTENT[:40]))
    with pytest.raises(errors.LengthExceededError):
        await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert (await world.state(new)).received_bytes >= 40
    assert not await world.rows()


async def test_a_refused_file_leaves_nothing(world: World) -> None:
    """Neither part nor object nor upload; the client can ask why, and sends in vain."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    world.gate.error = FileRefusedError((FINDING,))
    with pytest.raises(FileRefusedError):
        await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert not world.store.objects
    assert not await world.rows()
    found = await world.state(new)
    assert (found.state, found.findings) == (ResumableState.REFUSED, (FINDING,))
    with pytest.raises(FileRefusedError) as again:
        await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert again.value.findings == (FINDING,)


async def test_an_answer_that_was_lost_can_be_asked_for(world: World) -> None:
    """The client repeats its last request, or sends nothing at the end."""
    new = await world.begun()
    done = await world.append(new, sent(CONTENT))
    with pytest.raises(errors.OffsetMismatchError):
        await world.append(new, sent(CONTENT))
    again = await world.append(new, sent(b""), first_byte=len(CONTENT))
    assert again.resumable.upload_id == done.resumable.upload_id
    assert len(await world.rows()) == 1


async def test_the_last_bytes_do_not_count_before_the_file_is_accepted(world: World) -> None:
    """So a client that reads the end knows that its file is stored."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:90]))
    world.store.faults = ["lost", "lost", "lost"]
    with pytest.raises(StoreUnavailableError):
        await world.append(new, sent(CONTENT[90:]), first_byte=90)
    found = await world.state(new)
    assert (found.state, found.received_bytes) == (ResumableState.RECEIVING, 90)
    world.store.faults = []
    world.clock.move(61)
    done = await world.append(new, sent(CONTENT[90:]), first_byte=90)
    assert done.accepted is not None


async def test_a_process_that_stood_still_stores_no_part(world: World) -> None:
    """Meanwhile the upload was ended, as by an erasure, and its parts were removed."""
    new = await world.begun()

    async def stands_still() -> None:
        world.clock.move(RULES.lease_seconds + 1)
        await world.uploads.end(new.id)

    world.store.meanwhile = [stands_still]
    with pytest.raises(errors.ResumableEndedError):
        await world.append(new, sent(CONTENT[:40]))
    assert world.store.objects == {}


async def test_a_part_is_not_stored_if_its_process_stood_still_before(
    world: World, engine: AsyncEngine
) -> None:
    """Between the transaction that begins its lease and the PUT."""

    class StandsStill(DatabaseResumableUploads):
        @override
        async def begin_part(
            self, resumable_id: ResumableId, writer: int, part: Part, *, lease_seconds: float
        ) -> None:
            await super().begin_part(resumable_id, writer, part, lease_seconds=lease_seconds)
            world.clock.move(lease_seconds + 1)
            await self.end(resumable_id)

    world.uploads = StandsStill(engine, 5, LIFETIME_SECONDS, world.clock)
    world.receive = world.replica(RULES)
    new = await world.begun()
    with pytest.raises(errors.ResumableEndedError):
        await world.append(new, sent(CONTENT[:40]))
    assert world.store.objects == {}


async def test_a_part_that_could_not_be_stored_does_not_count(world: World) -> None:
    """The client sends its bytes again."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    world.store.faults = ["refused"]
    with pytest.raises(StoreRefusedError):
        await world.append(new, sent(CONTENT[40:60]), first_byte=40)
    assert (await world.state(new)).received_bytes == 40


async def test_bytes_with_a_checksum_count_all_or_none(world: World) -> None:
    """A request with a checksum that was cut leaves the offset as it was."""
    new = await world.begun()
    with pytest.raises(BodyIncompleteError):
        await world.append(new, sent(CONTENT, cut_after=60), all_or_none=True)
    assert (await world.state(new)).received_bytes == 0
    assert not world.store.objects


async def test_a_part_that_is_lost_ends_it(world: World) -> None:
    """The client begins again; nothing of the file is left."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    for key in world.part_keys():
        del world.store.objects[key]
    with pytest.raises(errors.ResumableEndedError):
        await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert not await world.rows()


async def test_a_terminated_one_leaves_nothing(world: World) -> None:
    """Its parts go at once."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    assert world.part_keys()
    await world.receive.terminate(new.id, world.account)
    assert not world.store.objects
    with pytest.raises(errors.ResumableNotFoundError):
        await world.state(new)


async def test_an_accepted_file_outlives_its_resumable_upload(world: World) -> None:
    """Terminating it afterwards removes nothing of the upload."""
    new = await world.begun()
    await world.append(new, sent(CONTENT))
    await world.receive.terminate(new.id, world.account)
    with pytest.raises(errors.ResumableNotFoundError):
        await world.state(new)
    (row,) = await world.rows()
    assert world.store.objects == {row.receipt.object_key: CONTENT}


async def test_the_janitor_removes_what_expires(world: World) -> None:
    """Parts and row, a lifetime after the last part."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    remove = RemoveParts(world.uploads, world.store, lease_seconds=60)
    assert await remove.sweep_once() == 0
    world.clock.move(LIFETIME_SECONDS + 1)
    assert await remove.sweep_once() == 1
    assert not world.store.objects
    with pytest.raises(errors.ResumableNotFoundError):
        await world.state(new)


async def test_a_file_that_is_too_large_is_refused_at_once(world: World) -> None:
    """Before any byte is sent."""
    with pytest.raises(FileTooLargeError):
        await world.begun(size_bytes=RULES.max_file_bytes + 1)


async def test_nobody_else_can_go_on(world: World) -> None:
    """Another account is told that there is none."""
    new = await world.begun()
    following = NextBytes(
        principal=principal(owner()), first_byte=0, body=sent(CONTENT), correlation_id="x"
    )
    with pytest.raises(errors.ResumableNotFoundError):
        await world.receive.append(new.id, following)
    with pytest.raises(errors.ResumableNotFoundError):
        await world.receive.terminate(new.id, owner())


async def test_another_process_goes_on(world: World) -> None:
    """With its own rules; the parts say how many bytes there are."""
    new = await world.begun()
    await world.append(new, sent(CONTENT[:40]))
    world.receive = world.replica(replace(RULES, part_bytes=3))
    done = await world.append(new, sent(CONTENT[40:]), first_byte=40)
    assert done.accepted is not None
    assert done.accepted.receipt.file_hash == sha256(CONTENT)
