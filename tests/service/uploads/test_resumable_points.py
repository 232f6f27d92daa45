"""A process ends at any point of a resumable upload; its client goes on with another one."""

from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.uploads.accept import AcceptUpload
from healthingest_service.uploads.errors import BodyIncompleteError
from healthingest_service.uploads.receive_in_parts import NextBytes, PartRules, ReceiveInParts
from healthingest_service.uploads.remove_parts import RemoveParts
from healthingest_service.uploads.resumable import ResumableNotFoundError, ResumableState
from support.erasure_points import EndedError, EndsAt
from support.fakes import MemoryStore, ReadyResult
from support.resumables import LIFETIME_SECONDS
from support.uploads import BUCKET, Clock, owner, principal, sha256

CONTENT = bytes(range(100))
LEASE_SECONDS = 60.0
RULES = PartRules(
    max_file_bytes=1000,
    part_bytes=1,
    max_open=3,
    lifetime_seconds=LIFETIME_SECONDS,
    lease_seconds=LEASE_SECONDS,
    patience_seconds=0.0,
)
POINTS = [
    f"{moment}_{which}{method}"
    for method in (
        *("take", "begin_part", "add_part", "release", "stored_parts", "finish"),
        *("begin", "complete", "put", "take_ended", "erase", "forget"),
    )
    for moment in ("before", "after")
    for which in ("", "second_")
    if not which or method in {"take", "begin_part", "add_part", "put", "erase", "release"}
]


async def sent(content: bytes, *, is_cut: bool) -> AsyncIterator[bytes]:
    """Seven bytes at a time; then the connection is cut."""
    for start in range(0, len(content), 7):
        yield content[start : start + 7]
    if is_cut:
        raise BodyIncompleteError


class World:
    """What survives a process."""

    def __init__(
        self,
        engine: AsyncEngine,
        ledger: DatabaseLedger,
        store: MemoryStore,
        clock: Clock,
        folder: Path,
    ) -> None:
        self.ledger = ledger
        self.store = store
        self.clock = clock
        self.folder = folder
        self.account = owner()
        self.uploads = DatabaseResumableUploads(engine, 5, LIFETIME_SECONDS, clock)

    def process(self, ends: EndsAt | None = None) -> ReceiveInParts:
        """Return a process, which ends at a point."""
        never = EndsAt("before_nothing")
        around = (ends or never).around
        store, spool = around(self.store), DiskSpool(self.folder / "spool", max_bytes=4000)
        accept = AcceptUpload(
            ledger=around(self.ledger),
            store=store,
            gate=ReadyResult(),
            spool=spool,
            bucket=BUCKET,
            max_file_bytes=RULES.max_file_bytes,
            lease_seconds=LEASE_SECONDS,
            clock=self.clock,
        )
        return ReceiveInParts(
            uploads=around(self.uploads),
            store=store,
            spool=spool,
            accept=accept,
            rules=RULES,
            clock=self.clock,
        )

    async def turn(self, receive: ReceiveInParts, of: object, *, is_cut: bool) -> bool:
        """Ask for the offset, and send up to 45 bytes; returns whether the file is accepted."""
        found = await receive.settled(of, self.account)  # type: ignore[arg-type] # its id
        if found.state is ResumableState.FINISHED:
            return True
        at = found.received_bytes
        until = at + 45 if is_cut else len(CONTENT)
        following = NextBytes(
            principal=principal(self.account),
            first_byte=at,
            body=sent(CONTENT[at:until], is_cut=is_cut and until < len(CONTENT)),
            correlation_id="correlation",
        )
        try:
            progress = await receive.append(of, following)  # type: ignore[arg-type] # its id
        except BodyIncompleteError:
            return False
        return progress.resumable.state is ResumableState.FINISHED


@pytest.fixture
def world(
    engine: AsyncEngine, ledger: DatabaseLedger, store: MemoryStore, clock: Clock, tmp_path: Path
) -> World:
    """Empty."""
    return World(engine, ledger, store, clock, tmp_path)


@pytest.mark.parametrize("point", POINTS)
async def test_each_file_becomes_one_upload(world: World, point: str) -> None:
    """With its bytes; a client that reads the end has an upload, and no part is left."""
    ends = EndsAt(point)
    dying = world.process(ends)
    new = await world.process().create(
        principal(world.account), len(CONTENT), intake=None, metadata=""
    )
    with suppress(EndedError):
        for _ in range(5):
            await world.turn(dying, new.id, is_cut=True)
    assert ends.has_ended
    left = await world.uploads.find(new.id, world.account)
    assert (left.received_bytes == len(CONTENT)) == (left.state is ResumableState.FINISHED)
    world.clock.move(LEASE_SECONDS + 1)
    for _ in range(5):
        if await world.turn(world.process(), new.id, is_cut=True):
            break
    (row,) = (await world.ledger.history(world.account, limit=10)).uploads
    assert row.receipt.file_hash == sha256(CONTENT)
    found = await world.process().settled(new.id, world.account)
    assert (found.state, found.upload_id) == (ResumableState.FINISHED, row.id)
    world.clock.move(LIFETIME_SECONDS + LEASE_SECONDS)
    remove = RemoveParts(world.uploads, world.store, lease_seconds=LEASE_SECONDS)
    while await remove.sweep_once():
        world.clock.move(LIFETIME_SECONDS + LEASE_SECONDS)
    assert world.store.objects == {row.receipt.object_key: CONTENT}
    with pytest.raises(ResumableNotFoundError):
        await world.uploads.find(new.id, world.account)
