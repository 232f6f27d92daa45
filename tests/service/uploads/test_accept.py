import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_contract.events import UploadStored
from healthingest_service.adapters.database.ledger import BegunUpload, DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.identity.model import AccountId
from healthingest_service.uploads.accept import AcceptUpload, UploadRequest
from healthingest_service.uploads.errors import (
    BodyIncompleteError,
    FileRefusedError,
    FileTooLargeError,
    IdempotencyKeyReusedError,
    LedgerUnavailableError,
    SpoolFullError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadError,
    UploadInFlightError,
)
from healthingest_service.uploads.janitor import Janitor, Swept
from healthingest_service.uploads.model import Finding, IdempotencyKey, Upload, UploadState
from support.cancelling import is_cancelled_at
from support.fakes import MemoryStore, ReadyResult
from support.uploads import BUCKET, Clock, owner, principal, sha256

MAX_FILE_BYTES = 1000
LEASE_SECONDS = 60.0
CONTENT = b"what a phone sends"
SHARES = 8
"""The waits of one upload are shared out, each test within a unit test's time."""


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    """Seven bytes at a time, as a slow phone sends them."""
    for start in range(0, len(content), 7):
        await asyncio.sleep(0)
        yield content[start : start + 7]


class World:
    """Everything around one use case."""

    def __init__(
        self,
        ledger: DatabaseLedger,
        outbox: DatabaseOutbox,
        store: MemoryStore,
        clock: Clock,
        folder: Path,
    ) -> None:
        self.ledger = ledger
        self.outbox = outbox
        self.store = store
        self.clock = clock
        self.gate = ReadyResult()
        self.spool = DiskSpool(folder / "spool", max_bytes=MAX_FILE_BYTES * 2)
        self.account = owner()
        self.accept = AcceptUpload(
            ledger=ledger,
            store=store,
            gate=self.gate,
            spool=self.spool,
            bucket=BUCKET,
            max_file_bytes=MAX_FILE_BYTES,
            lease_seconds=LEASE_SECONDS,
            clock=clock,
        )
        self.janitor = Janitor(
            ledger=ledger,
            store=store,
            clock=clock,
            bucket=BUCKET,
            interval_seconds=1,
            lease_seconds=120,
        )

    def request(
        self, content: bytes = CONTENT, *, key: str | None = None, of: AccountId | None = None
    ) -> UploadRequest:
        """A request of the owner, or of somebody else."""
        return UploadRequest(
            principal=principal(of or self.account),
            body=chunks(content),
            correlation_id="correlation",
            idempotency_key=None if key is None else IdempotencyKey(key),
            declared_size_bytes=len(content),
        )

    async def uploads(self) -> tuple[Upload, ...]:
        """The owner's rows."""
        return (await self.ledger.history(self.account, limit=100)).uploads

    async def messages(self) -> list[UploadStored]:
        """What waits in the outbox."""
        async with self.outbox.claim(limit=100) as batch:
            return [UploadStored.from_bytes(found.body) for found in batch.messages]

    async def has_nothing(self) -> bool:
        """No row, no object, no message, no spooled byte."""
        counts = (len(await self.uploads()), len(self.store.objects), len(await self.messages()))
        return counts == (0, 0, 0) and self.spool.free_bytes == MAX_FILE_BYTES * 2


@pytest.fixture
def world(
    ledger: DatabaseLedger, outbox: DatabaseOutbox, store: MemoryStore, clock: Clock, tmp_path: Path
) -> World:
    """Empty."""
    return World(ledger, outbox, store, clock, tmp_path)


TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class TestAccepted:
    async def test_the_message_continues_the_trace(self, world: World) -> None:
        """By the header of W3C Trace Context; without a trace there is none."""
        await world.accept(replace(world.request(), traceparent=TRACEPARENT))
        await world.accept(world.request(b"another file"))
        async with world.outbox.claim(limit=100) as batch:
            headers = [message.headers.get("traceparent") for message in batch.messages]
        assert sorted(headers, key=str) == [TRACEPARENT, None]

    async def test_is_stored_and_will_be_announced(self, world: World) -> None:
        """The receipt, the row, the object and the message tell the same."""
        accepted = await world.accept(world.request())
        (row,), (message,) = await world.uploads(), await world.messages()
        receipt = accepted.receipt
        assert not accepted.replayed
        assert (row.state, row.receipt) == (UploadState.STORED, receipt)
        assert world.store.objects == {receipt.object_key: CONTENT}
        assert (receipt.file_hash, receipt.file_size_bytes) == (sha256(CONTENT), len(CONTENT))
        assert (message.key, message.file_hash) == (receipt.object_key, receipt.file_hash)
        assert (message.bucket, message.user_id) == (BUCKET, world.account)
        assert message.idempotency_key == str(receipt.upload_id)
        assert receipt.upload_id.version == 7

    async def test_is_the_first_one_when_repeated(self, world: World) -> None:
        """The same bytes again give the first receipt; nothing is stored or announced twice."""
        first = await world.accept(world.request())
        world.clock.move(3600)
        again = await world.accept(world.request())
        assert again == replace(first, replayed=True)
        assert len(await world.messages()) == len(world.store.objects) == 1

    async def test_is_one_of_many_at_once(self, world: World) -> None:
        """
        Of eight equal uploads at the same moment one is accepted.

        The others wait, or get its receipt.
        """
        outcomes = await asyncio.gather(
            *(world.accept(world.request()) for _ in range(8)), return_exceptions=True
        )
        accepted = [outcome for outcome in outcomes if not isinstance(outcome, BaseException)]
        assert all(
            isinstance(o, UploadInFlightError) for o in outcomes if isinstance(o, BaseException)
        )
        assert sum(not outcome.replayed for outcome in accepted) == 1
        assert len(await world.messages()) == len(world.store.objects) == 1

    async def test_has_its_object_although_the_answer_was_lost(self, world: World) -> None:
        """An unclear answer is settled by asking: the right bytes are there, so it goes on."""
        world.store.faults = ["arrived"]
        await world.accept(world.request())
        assert len(await world.messages()) == 1

    async def test_is_held_while_its_object_comes_on(self, world: World) -> None:
        """A store that reports progress keeps the row from the janitor, however long it takes."""

        async def nearly_too_late() -> None:
            world.clock.move(LEASE_SECONDS - 1)
            assert await world.janitor.sweep_once() == Swept()

        world.store.meanwhile = [nearly_too_late] * 3
        await world.accept(world.request())
        assert [row.state for row in await world.uploads()] == [UploadState.STORED]


class TestRefused:
    @pytest.mark.parametrize(
        ("change", "error"),
        [
            (
                lambda request: replace(request, declared_size_bytes=MAX_FILE_BYTES + 1),
                FileTooLargeError,
            ),
            (
                lambda request: replace(
                    request, body=chunks(b"x" * 1001), declared_size_bytes=None
                ),
                FileTooLargeError,
            ),
            (
                lambda request: replace(request, declared_size_bytes=len(CONTENT) + 1),
                BodyIncompleteError,
            ),
            (
                lambda request: replace(request, declared_size_bytes=len(CONTENT) - 1),
                BodyIncompleteError,
            ),
        ],
        ids=["declared too large", "too large", "too short", "too long"],
    )
    async def test_for_its_body(
        self,
        world: World,
        change: Callable[[UploadRequest], UploadRequest],
        error: type[UploadError],
    ) -> None:
        """A body of the wrong size is refused and leaves nothing."""
        with pytest.raises(error):
            await world.accept(change(world.request()))
        assert await world.has_nothing()

    async def test_at_the_limit_it_is_not(self, world: World) -> None:
        """A body of exactly the limit passes."""
        await world.accept(world.request(b"x" * MAX_FILE_BYTES))

    async def test_by_the_gate(self, world: World) -> None:
        """A wrong file leaves nothing."""
        world.gate.error = FileRefusedError(
            (Finding("block_invalid", "A message.", "A remedy.", block=0),)
        )
        with pytest.raises(FileRefusedError):
            await world.accept(world.request())
        assert await world.has_nothing()

    async def test_by_the_store(self, world: World) -> None:
        """A clear no leaves nothing, not even the idempotency key; the next try is a new upload."""
        world.store.faults = ["refused"]
        with pytest.raises(StoreRefusedError):
            await world.accept(world.request(key="key"))
        assert await world.has_nothing()
        assert not (await world.accept(world.request(b"other bytes", key="key"))).replayed

    async def test_for_its_idempotency_key(self, world: World) -> None:
        """The owner's key stands for other bytes; somebody else's equal key does not matter."""
        await world.accept(world.request(key="key"))
        with pytest.raises(IdempotencyKeyReusedError):
            await world.accept(world.request(b"other bytes", key="key"))
        await world.accept(world.request(b"other bytes", key="key", of=owner()))
        assert len(await world.uploads()) == 1

    async def test_for_want_of_room(self, world: World) -> None:
        """A full spool refuses; the room comes back."""
        async with world.spool.open() as other:
            await other.write(b"x" * (MAX_FILE_BYTES * 2 - 10))
            with pytest.raises(SpoolFullError):
                await world.accept(world.request())
        assert await world.has_nothing()


class StandsStill(DatabaseLedger):
    """A ledger whose process stands still after it began an upload; a janitor settles its row."""

    clock: Clock

    @override
    async def begin(
        self, upload: Upload, *, idempotency_key: IdempotencyKey | None, lease_seconds: float
    ) -> BegunUpload:
        begun = await super().begin(
            upload, idempotency_key=idempotency_key, lease_seconds=lease_seconds
        )
        self.clock.move(lease_seconds + 1)
        await self.abandon(begun.upload.id)
        return begun


class TestUnclear:
    async def test_a_process_that_stood_still_stores_nothing(
        self,
        engine: AsyncEngine,
        outbox: DatabaseOutbox,
        store: MemoryStore,
        clock: Clock,
        tmp_path: Path,
    ) -> None:
        """The object would have no row, and nobody would remove it."""
        ledger = StandsStill(engine, timeout_seconds=5, clock=clock)
        ledger.clock = clock
        world = World(ledger, outbox, store, clock, tmp_path)
        with pytest.raises(LedgerUnavailableError):
            await world.accept(world.request())
        assert await world.has_nothing()

    async def test_leaves_the_row_to_the_janitor(self, world: World) -> None:
        """
        No answer and no object.

        The row stays, a repeat waits for the lease, then it all goes well.
        """
        world.store.faults = ["lost"]
        with pytest.raises(StoreUnavailableError):
            await world.accept(world.request())
        assert [row.state for row in await world.uploads()] == [UploadState.STORING]
        with pytest.raises(UploadInFlightError):
            await world.accept(world.request())
        world.clock.move(LEASE_SECONDS + 1)
        await world.accept(world.request())
        assert [row.state for row in await world.uploads()] == [UploadState.STORED]
        assert len(world.store.objects) == len(await world.messages()) == 1

    async def test_is_not_undone_when_the_store_is_down(self, world: World) -> None:
        """The object may be there although nobody can tell: the row must not vanish."""
        world.store.faults = ["arrived"]
        world.store.is_down = True
        with pytest.raises(StoreUnavailableError):
            await world.accept(world.request())
        world.store.is_down = False
        world.clock.move(LEASE_SECONDS + 1)
        assert (await world.janitor.sweep_once()).finished == 1
        assert (await world.accept(world.request())).replayed

    async def test_keeps_a_row_that_was_taken_over(self, world: World) -> None:
        """A refusal says nothing about what the dead process had stored: its row is not removed."""
        world.store.faults = ["arrived", "refused"]
        world.store.is_down = True
        with pytest.raises(StoreUnavailableError):
            await world.accept(world.request())
        world.clock.move(LEASE_SECONDS + 1)
        with pytest.raises(StoreRefusedError):
            await world.accept(world.request())
        assert [row.state for row in await world.uploads()] == [UploadState.STORING]

    @pytest.mark.parametrize("first", range(SHARES))
    async def test_heals_from_cancellation_anywhere(self, world: World, first: int) -> None:
        """
        Wherever the client went away.

        Afterwards one repeat gives one row, one object and one message.
        """
        for wait in count(first, SHARES):
            content = f"content {wait}".encode()
            cancelled = await is_cancelled_at(
                wait, world.accept(world.request(content, key=str(wait)))
            )
            assert world.spool.free_bytes == MAX_FILE_BYTES * 2
            world.clock.move(LEASE_SECONDS + 1)
            await world.janitor.sweep_once()
            await world.accept(world.request(content, key=str(wait)))
            if not cancelled:
                break
        assert wait > SHARES
        rows = await world.uploads()
        assert {row.state for row in rows} == {UploadState.STORED}
        assert {row.receipt.object_key for row in rows} == set(world.store.objects)
        assert sorted(message.key for message in await world.messages()) == sorted(
            world.store.objects
        )
