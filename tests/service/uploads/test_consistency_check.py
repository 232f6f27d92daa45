import asyncio
import hashlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs
from typing_extensions import override

from healthingest_service.adapters.database import erasure_rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.adapters.database.tables import OutboxRow, ScheduledJobRow, UploadRow
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.folder_inventory import FolderInventory
from healthingest_service.erasure.model import (
    Erasure,
    ErasureId,
    ErasureKind,
    ErasureState,
    Scope,
)
from healthingest_service.uploads.consistency_check import ConsistencyCheck, ConsistencyRules
from healthingest_service.uploads.discrepancies import (
    CHECK_FAILED,
    CHECK_FINISHED,
    DISCREPANCY_FOUND,
)
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import NewObject, Upload, UploadState
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.repair import Repaired, RepairUploads
from support.deadlines import HANG_SECONDS
from support.erasures import KEYS
from support.uploads import BUCKET, Clock, message, sha256, upload

DAY_SECONDS = 86_400.0
YOUNG_SECONDS = 3600.0


@dataclass
class FlakyStore(FolderStore, ObjectStore):
    """A folder that may be out of reach or say no, and notes what was read."""

    root: Path
    is_down: bool = False
    refused: set[str] = field(default_factory=set)
    reads: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(self.root)

    @override
    async def read(self, key: str) -> AsyncIterator[bytes]:
        if self.is_down:
            raise StoreUnavailableError
        if key in self.refused:
            raise StoreRefusedError
        self.reads.append(key)
        async for chunk in super().read(key):
            yield chunk


@dataclass
class Room:
    """A ledger, a folder, and a consistency check of the two."""

    ledger: DatabaseLedger
    store: FlakyStore
    engine: AsyncEngine
    clock: Clock
    folder: Path

    def check(self, *, shares: int = 1, bytes_per_second: float = 1e9) -> ConsistencyCheck:
        """One as a process has it."""
        return ConsistencyCheck(
            inventory=FolderInventory(self.store.root),
            store=self.store,
            uploads=DatabaseKeptUploads(
                self.engine, timeout_seconds=5, clock=self.clock, key_hash=KEYS.key_hash
            ),
            jobs=DatabaseScheduledJobs(self.engine, timeout_seconds=5, clock=self.clock),
            rules=ConsistencyRules(
                interval_seconds=DAY_SECONDS,
                verify_shares=shares,
                verify_bytes_per_second=bytes_per_second,
                young_seconds=YOUNG_SECONDS,
            ),
            bucket=BUCKET,
            clock=self.clock,
        )

    async def keep(self, content: bytes) -> Upload:
        """An upload that is stored, row and object."""
        new = upload(content, at=self.clock.now)
        await self.ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await self.put(new.receipt.object_key, content)
        await self.ledger.complete(new.id, message(new), stored_at=self.clock.now)
        return new

    async def put(self, key: str, content: bytes) -> None:
        """An object alone."""
        source = self.folder / hashlib.sha256(key.encode()).hexdigest()
        source.write_bytes(content)
        await self.store.put(NewObject(key, source, len(content), sha256(content)))

    def path(self, of: Upload) -> Path:
        """Where its object lies."""
        return self.store.root / of.receipt.object_key


@pytest.fixture(name="room")
def _room(engine: AsyncEngine, tmp_path: Path) -> Room:
    clock = Clock(datetime.now(UTC))  # the files' times are the machine's
    ledger = DatabaseLedger(engine, timeout_seconds=5, clock=clock)
    return Room(ledger, FlakyStore(tmp_path / "objects"), engine, clock, tmp_path)


@pytest.fixture(name="stop")
async def _stop() -> asyncio.Event:
    return asyncio.Event()


async def discrepancies(check: ConsistencyCheck, stop: asyncio.Event) -> dict[str, int]:
    """What one check finds; kinds of which there is nothing are left out."""
    assert await check.check_once(stop)
    return {str(kind): count for kind, count in check.counts.discrepancies.items() if count}


async def test_finds_nothing_where_all_is_well(room: Room, stop: asyncio.Event) -> None:
    """Rows and objects agree, and every object is read."""
    for content in (b"one", b"two", b"three"):
        await room.keep(content)
    room.clock.move(YOUNG_SECONDS + 1)
    check = room.check()
    assert await discrepancies(check, stop) == {}
    assert check.counts.work == {
        "listed_objects": 3,
        "verified_objects": 3,
        "verified_bytes": 11,
        "aborted_puts": 0,
        "erased_objects": 0,
    }
    assert check.finished_at == room.clock.now


async def test_removes_the_late_object_of_an_erased_upload(room: Room, stop: asyncio.Event) -> None:
    """A PUT that hung arrived after the erasure; it is no discrepancy. Others stay."""
    erased = await room.keep(b"erased")
    await room.put(upload(b"unknown").receipt.object_key, b"unknown")
    tombstone = {
        "id": erased.id,
        "kind": "upload",
        "study": erased.study,
        "erasure_id": erased.id,
        "key_hash": KEYS.key_hash(erased.receipt.object_key),
    }
    erasure = Erasure(
        id=ErasureId(erased.id),
        scope=Scope(ErasureKind.UPLOAD, erased.study, erased.id),
        state=ErasureState.DONE,
        requested_at=room.clock.now,
        starts_at=room.clock.now,
    )
    async with transaction(room.engine, timeout_seconds=5) as connection:
        for table in (OutboxRow, UploadRow):
            await connection.execute(delete(table))
        await erasure_rows.inserted_or_found(connection, erasure)
        await connection.execute(insert(TombstoneRow).values(tombstone))
    room.clock.move(YOUNG_SECONDS + 1)
    check = room.check()
    assert await discrepancies(check, stop) == {"object_without_row": 1}
    assert check.counts.erased_objects == 1
    assert not room.path(erased).exists()


async def test_reports_what_differs_and_deletes_nothing(room: Room, stop: asyncio.Event) -> None:
    """Cases: no row, no object, other bytes of the same length, other bytes of another length."""
    lost, flipped, longer = [await room.keep(content) for content in (b"lost", b"flip", b"long")]
    room.path(lost).unlink()
    room.path(flipped).write_bytes(b"FLIP")
    room.path(longer).write_bytes(b"longer than it was")
    await room.put("raw/stray.avro", b"stray")
    stranger = upload(b"no row")
    await room.put(stranger.receipt.object_key, b"no row")
    room.clock.move(YOUNG_SECONDS + 1)
    with capture_logs() as lines:
        assert await discrepancies(room.check(), stop) == {
            "object_without_row": 2,
            "row_without_object": 1,
            "other_bytes": 2,
        }
    told = {
        line["object_key"]: line["kind"] for line in lines if line["event"] == DISCREPANCY_FOUND
    }
    assert told == {
        "raw/stray.avro": "object_without_row",
        stranger.receipt.object_key: "object_without_row",
        lost.receipt.object_key: "row_without_object",
        flipped.receipt.object_key: "other_bytes",
        longer.receipt.object_key: "other_bytes",
    }
    assert [line["listed_objects"] for line in lines if line["event"] == CHECK_FINISHED] == [4]
    assert room.path(flipped).exists()
    assert (room.store.root / "raw/stray.avro").exists()


async def test_another_length_shows_in_the_list(room: Room, stop: asyncio.Event) -> None:
    """Nothing is read for it: every check sees every one."""
    kept = await room.keep(b"content")
    room.path(kept).write_bytes(b"longer content")
    assert await discrepancies(room.check(shares=2**40), stop) == {"other_bytes": 1}
    assert room.store.reads == []


async def test_an_object_that_cannot_be_read_is_reported(room: Room, stop: asyncio.Event) -> None:
    """The store lists it, and says no."""
    kept = await room.keep(b"content")
    room.store.refused.add(kept.receipt.object_key)
    assert await discrepancies(room.check(), stop) == {"unreadable": 1}


async def test_what_is_young_is_let_be(room: Room, stop: asyncio.Event) -> None:
    """An object without a committed row, or a row without a listed object, may be in flight."""
    room.path(await room.keep(b"moved")).unlink()
    await room.put("raw/stray.avro", b"stray")
    assert await discrepancies(room.check(), stop) == {}


async def test_an_upload_under_way_is_no_discrepancy(room: Room, stop: asyncio.Event) -> None:
    """Its object has a row already, however long it takes."""
    new = upload(b"content")
    await room.ledger.begin(new, idempotency_key=None, lease_seconds=10 * YOUNG_SECONDS)
    await room.put(new.receipt.object_key, b"content")
    room.clock.move(YOUNG_SECONDS + 1)
    assert await discrepancies(room.check(), stop) == {}


async def test_reads_each_object_once_in_so_many_checks(room: Room, stop: asyncio.Event) -> None:
    """A share each day, by the hash: together they are all, and none is read twice."""
    kept = [await room.keep(bytes([number])) for number in range(6)]
    shares = []
    for _ in range(3):
        room.store.reads.clear()
        assert await discrepancies(room.check(shares=3), stop) == {}
        shares.append(set(room.store.reads))
        room.clock.move(DAY_SECONDS)
    assert sum(map(len, shares)) == len(set.union(*shares)) == len(kept)
    assert max(map(len, shares)) < len(kept)


async def test_is_done_once_a_day_by_one_process(room: Room, stop: asyncio.Event) -> None:
    """Another process, or the same again, finds it done until the next day."""
    assert await room.check().check_once(stop)
    assert not await room.check().check_once(stop)
    room.clock.move(DAY_SECONDS)
    assert await room.check().check_once(stop)


async def test_goes_on_after_the_store_was_away(room: Room, stop: asyncio.Event) -> None:
    """What broke off is taken up again within the same day."""
    await room.keep(b"content")
    check = room.check()
    room.store.is_down = True
    with pytest.raises(StoreUnavailableError):
        await check.check_once(stop)
    room.store.is_down = False
    assert await discrepancies(check, stop) == {}
    assert check.counts.verified_objects == 1


async def test_keeps_to_its_speed_and_stops_when_told(room: Room, stop: asyncio.Event) -> None:
    """A stop ends a slow read, and the check does not count as finished."""
    await room.keep(bytes(1000))
    check = room.check(bytes_per_second=1.0)
    reading = asyncio.ensure_future(check.check_once(stop))
    async with asyncio.timeout(HANG_SECONDS):
        while not room.store.reads:  # noqa: ASYNC110 - a list tells nobody
            await asyncio.sleep(0.005)
        stop.set()
        assert await reading is False
    assert check.counts.verified_objects == 0
    assert await discrepancies(room.check(), asyncio.Event()) == {}


async def test_its_position_names_no_file(
    room: Room, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its upload may be erased before the check continues; at the end there is none."""
    monkeypatch.setattr("healthingest_service.uploads.consistency_check._PAGE", 1)
    position = select(ScheduledJobRow.position)
    kept = sorted(
        [(await room.keep(b"a")), (await room.keep(b"b"))], key=lambda one: one.receipt.object_key
    )
    room.clock.move(YOUNG_SECONDS + 1)

    async def fails_after_one(key: str) -> AsyncIterator[bytes]:
        room.store.is_down = bool(room.store.reads)
        async for chunk in FlakyStore.read(room.store, key):
            yield chunk

    monkeypatch.setattr(room.store, "read", fails_after_one)
    with pytest.raises(StoreUnavailableError):
        await room.check().check_once(stop)
    async with transaction(room.engine, timeout_seconds=5) as connection:
        noted = await connection.scalar(position)
    first = kept[0].receipt.object_key
    assert noted
    assert first.startswith(noted)
    assert kept[0].receipt.file_hash not in noted
    monkeypatch.undo()
    room.store.is_down = False
    assert await discrepancies(room.check(), stop) == {}
    async with transaction(room.engine, timeout_seconds=5) as connection:
        assert await connection.scalar(position) == ""


async def test_removes_what_dead_puts_have_left(room: Room, stop: asyncio.Event) -> None:
    """Older than any living one; younger ones stay."""
    await room.store.check()
    old, young = (room.store.root / ".unfinished" / name for name in ("old", "young"))
    for path, age in ((old, 2 * YOUNG_SECONDS), (young, YOUNG_SECONDS / 2)):
        path.write_bytes(b"part")
        at = (room.clock.now - timedelta(seconds=age)).timestamp()
        os.utime(path, (at, at))
    check = room.check()
    assert await discrepancies(check, stop) == {}
    assert check.counts.aborted_puts == 1
    assert (old.exists(), young.exists()) == (False, True)


async def test_a_running_one_outlives_a_lost_store(
    room: Room, stop: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It logs that a check failed, retries, and ends when *stop* is set."""
    monkeypatch.setattr("healthingest_service.uploads.consistency_check._POLL_SECONDS", 0.001)
    await room.keep(b"content")
    room.store.is_down = True
    with capture_logs() as lines:
        running = asyncio.ensure_future(room.check().run(stop))
        async with asyncio.timeout(HANG_SECONDS):
            while not lines:  # noqa: ASYNC110 - a list tells nobody
                await asyncio.sleep(0.005)
            stop.set()
            await running
    assert [line["event"] for line in lines] == [CHECK_FAILED]


async def test_a_lost_upload_is_reported_once_and_found_again(
    room: Room, stop: asyncio.Event
) -> None:
    """
    Its row becomes `lost`.

    With the object back, the next consistency check makes it what it was, and other bytes do not.
    """
    lost = await room.keep(b"lost")
    room.path(lost).unlink()
    room.clock.move(YOUNG_SECONDS + 1)
    check = room.check()
    assert await discrepancies(check, stop) == {"row_without_object": 1}
    for content, state in ((b"LOST", UploadState.LOST), (b"lost", UploadState.STORED)):
        room.clock.move(DAY_SECONDS)
        await room.put(lost.receipt.object_key, content)
        assert await discrepancies(check, stop) == {"row_without_object": 1}
        assert (await room.ledger.find(lost.id)).state is state
        room.path(lost).unlink()


async def test_a_repair_marks_the_lost_and_the_found(room: Room) -> None:
    """All uploads, or those that are named; a second run has nothing left to do."""
    kept = [await room.keep(content) for content in (b"one", b"two", b"three")]
    repair = RepairUploads(
        DatabaseKeptUploads(room.engine, timeout_seconds=5), room.store, clock=room.clock
    )
    room.path(kept[0]).unlink()
    room.path(kept[1]).write_bytes(b"longer")
    assert await repair([kept[2].id]) == Repaired(checked=1)
    assert await repair([]) == Repaired(checked=3, lost=2)
    assert await repair([]) == Repaired(checked=3)
    await room.put(kept[0].receipt.object_key, b"one")
    assert await repair([kept[0].id, kept[1].id]) == Repaired(checked=2, found_again=1)
