"""Fault points from the body to the second commit, as wrappers of ports of upload and janitor."""

import io
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import cast

from typing_extensions import override

from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.model import AccountId
from healthingest_service.uploads.model import (
    HistoryPage,
    IdempotencyKey,
    NewObject,
    OutgoingMessage,
    Sha256,
    StoredObject,
    Upload,
    UploadId,
    UploadState,
    ValidationResult,
)
from healthingest_service.uploads.ports import (
    Begun,
    FileValidation,
    Gate,
    Heartbeat,
    Ledger,
    ObjectStore,
    Removal,
    Spool,
    SpoolFile,
    no_heartbeat,
)
from support.faults.points import Faults, Point


@dataclass(frozen=True, slots=True)
class FaultySpoolFile(SpoolFile):
    """A body on its way."""

    inner: SpoolFile
    faults: Faults

    @property
    @override
    def content(self) -> bytes | Path:
        return self.inner.content

    @override
    def on_disk(self) -> Path:
        return self.inner.on_disk()

    @property
    @override
    def readable_bytes(self) -> int:
        return self.inner.readable_bytes

    @override
    async def write(self, chunk: bytes) -> None:
        await self.inner.write(chunk)
        await self.faults.at(Point.MID_BODY)

    @override
    async def finish(self) -> Sha256:
        sha256 = await self.inner.finish()
        await self.faults.at(Point.AFTER_SPOOL)
        return sha256


@dataclass(frozen=True, slots=True)
class FaultySpool(Spool):
    """Room for bodies."""

    inner: Spool
    faults: Faults

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[FaultySpoolFile]:
        async with self.inner.open() as file:
            await self.faults.at(Point.BEFORE_BODY)
            yield FaultySpoolFile(file, self.faults)


@dataclass(frozen=True, slots=True)
class FaultyValidation(FileValidation):
    """A file under validation."""

    inner: FileValidation
    faults: Faults

    @override
    async def feed(self, chunk: bytes) -> None:
        await self.inner.feed(chunk)

    @override
    async def feed_file(self, path: Path, *, offset: int, size_bytes: int) -> None:
        await self.inner.feed_file(path, offset=offset, size_bytes=size_bytes)

    @override
    async def finish(self) -> ValidationResult:
        result = await self.inner.finish()
        await self.faults.at(Point.AFTER_GATE)
        return result


@dataclass(frozen=True, slots=True)
class FaultyGate(Gate):
    """The check of files."""

    inner: Gate
    faults: Faults

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator[FaultyValidation]:
        async with self.inner.open() as check:
            yield FaultyValidation(check, self.faults)


@dataclass(frozen=True, slots=True)
class StorePoints:
    """The names of the points around a store; None for no point."""

    before_put: Point | None = None
    mid_put: Point | None = None
    between_parts: tuple[Point, ...] = ()
    after_put: Point | None = None
    after_head: Point | None = None


ACCEPTING_STORE = StorePoints(
    before_put=Point.BEFORE_PUT,
    mid_put=Point.MID_PUT,
    between_parts=(Point.BETWEEN_PARTS, Point.AFTER_PARTS),
    after_put=Point.AFTER_PUT,
)
SETTLING_STORE = StorePoints(after_head=Point.JANITOR_AFTER_HEAD)


@dataclass(frozen=True, slots=True)
class FaultyStore(ObjectStore):
    """An object store."""

    inner: ObjectStore
    faults: Faults
    points: StorePoints

    @override
    async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
        await _at(self.faults, self.points.before_put)
        if self.points.mid_put is not None and isinstance(new.content, Path):
            tripping = _tripping(new.content, self.faults, self.points.mid_put)
            new = replace(new, content=tripping)
        heartbeat = _met_again(heartbeat, self.faults, self.points.between_parts)
        await self.inner.put(new, heartbeat=heartbeat)
        await _at(self.faults, self.points.after_put)

    @override
    async def head(self, key: str) -> StoredObject | None:
        found = await self.inner.head(key)
        await _at(self.faults, self.points.after_head)
        return found

    @override
    def read(self, key: str) -> AsyncIterator[bytes]:
        return self.inner.read(key)

    @override
    async def remove(self, key: str) -> None:
        await self.inner.remove(key)

    @override
    async def erase(self, key: str) -> int:
        return await self.inner.erase(key)

    @override
    async def remains(self, key: str) -> int:
        return await self.inner.remains(key)

    @override
    def read_range(self, key: str, *, offset: int, size_bytes: int) -> AsyncGenerator[bytes, None]:
        return self.inner.read_range(key, offset=offset, size_bytes=size_bytes)

    @override
    async def check(self) -> None:
        await self.inner.check()


@dataclass(frozen=True, slots=True)
class LedgerPoints:
    """The names of the points around a ledger; None for no point."""

    before_begin: Point | None = None
    after_begin: Point | None = None
    before_complete: Point | None = None
    after_complete: Point | None = None
    after_abandon: Point | None = None
    after_taking: Point | None = None


ACCEPTING_LEDGER = LedgerPoints(
    Point.BEFORE_BEGIN, Point.AFTER_BEGIN, Point.BEFORE_COMPLETE, Point.AFTER_COMPLETE
)
SETTLING_LEDGER = LedgerPoints(
    after_complete=Point.JANITOR_AFTER_COMPLETE,
    after_abandon=Point.JANITOR_AFTER_ABANDON,
    after_taking=Point.JANITOR_AFTER_TAKING,
)


class FaultyLedger(Ledger):
    """A ledger."""

    def __init__(self, inner: Ledger, faults: Faults, points: LedgerPoints) -> None:
        self._inner = inner
        self._faults = faults
        self._points = points

    @override
    async def begin(
        self, upload: Upload, *, idempotency_key: IdempotencyKey | None, lease_seconds: float
    ) -> Begun:
        await _at(self._faults, self._points.before_begin)
        begun = await self._inner.begin(
            upload, idempotency_key=idempotency_key, lease_seconds=lease_seconds
        )
        await _at(self._faults, self._points.after_begin)
        return begun

    @override
    async def renew(self, upload_id: UploadId, *, lease_seconds: float) -> None:
        await self._inner.renew(upload_id, lease_seconds=lease_seconds)

    @override
    async def complete(
        self,
        upload_id: UploadId,
        message: OutgoingMessage,
        *,
        stored_at: datetime,
        event: AuditEvent | None = None,
    ) -> None:
        await _at(self._faults, self._points.before_complete)
        await self._inner.complete(upload_id, message, stored_at=stored_at, event=event)
        await _at(self._faults, self._points.after_complete)

    @override
    async def abandon(self, upload_id: UploadId, *, remove: Removal | None = None) -> None:
        await self._inner.abandon(upload_id, remove=remove)
        await _at(self._faults, self._points.after_abandon)

    @override
    async def find(self, upload_id: UploadId) -> Upload:
        return await self._inner.find(upload_id)

    @override
    async def history(
        self,
        owner: AccountId,
        *,
        limit: int,
        cursor: str | None = None,
        record_type: str | None = None,
        state: UploadState | None = None,
    ) -> HistoryPage:
        return await self._inner.history(
            owner, limit=limit, cursor=cursor, record_type=record_type, state=state
        )

    @override
    async def expired(self, *, limit: int, lease_seconds: float) -> Sequence[Upload]:
        taken = await self._inner.expired(limit=limit, lease_seconds=lease_seconds)
        if taken:
            await _at(self._faults, self._points.after_taking)
        return taken

    @override
    async def check(self) -> None:
        await self._inner.check()


async def _at(faults: Faults, point: Point | None) -> None:
    if point is not None:
        await faults.at(point)


def _met_again(heartbeat: Heartbeat, faults: Faults, points: Sequence[Point]) -> Heartbeat:
    """Return *heartbeat*, which passes one of *points* at each call from the second on."""
    left: Iterator[Point | None] = iter((None, *points))

    async def met() -> None:
        await _at(faults, next(left, None))
        await heartbeat()

    return met


def _tripping(path: Path, faults: Faults, point: Point) -> Path:
    """
    Return a path whose file passes *point* when it is read further.

    The store has the head of the file by then, and possibly more.
    """

    class TrippingPath(type(path)):  # type: ignore[misc] # a path's class is chosen at run time
        def open(self, *_arguments: object, **_keywords: object) -> io.BufferedReader:
            return _TrippingFile(io.FileIO(path), faults, point)

    return cast("Path", TrippingPath(path))


class _TrippingFile(io.BufferedReader):
    def __init__(self, raw: io.RawIOBase, faults: Faults, point: Point) -> None:
        super().__init__(raw)
        self._faults = faults
        self._point = point

    def read(self, size: int | None = -1, /) -> bytes:
        """See `io.BufferedReader.read`."""
        if self.tell() > 0:
            self._faults.at_in_thread(self._point)
        return super().read(size)
