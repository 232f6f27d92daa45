"""
What the core needs from outside.

Each port has a fake-free pair of adapters: an embedded and a real one.

`tests/ports/` runs one test class per port on both.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from healthingest_service.identity.model import AccountId
from healthingest_service.uploads.model import (
    HistoryPage,
    IdempotencyKey,
    OutgoingMessage,
    Sha256,
    StoredObject,
    Upload,
    UploadId,
    UploadState,
    ValidationResult,
)

Heartbeat = Callable[[], Awaitable[None]]
"""Called repeatedly by long work while it makes progress; an error from it ends the work."""


async def no_heartbeat() -> None:
    """A heartbeat that does nothing."""


class SpoolFile(Protocol):
    """A body on its way: bytes of one request on local disk, gone when the context ends."""

    @property
    def path(self) -> Path:
        """Where the bytes lie; complete after `finish`."""
        ...

    @property
    def readable_bytes(self) -> int:
        """So many of the first bytes are at `path` already; all of them after `finish`."""
        ...

    async def write(self, chunk: bytes) -> None:
        """
        Append *chunk*.

        Raises:
            SpoolFullError: the disk, or the spool's own limit, is full.
            SpoolUnavailableError: the disk fails.
        """
        ...

    async def finish(self) -> Sha256:
        """
        Flush: after this, `path` has every byte; returns the hash of all of them.

        Calling twice is safe.
        """
        ...


class Spool(Protocol):
    """Bounded room for bodies."""

    def open(self) -> AbstractAsyncContextManager[SpoolFile]:
        """
        A new, empty file; removed at the end of the context, whatever happens.

        Raises:
            SpoolFullError: on entering, when there is no room for one more.
            SpoolUnavailableError: on entering, when the folder cannot be written.
        """
        ...


class FileValidation(Protocol):
    """One file under validation, while it comes."""

    async def feed(self, chunk: bytes) -> None:
        """
        Hand over the next bytes; waits while the validator is behind, not for its result.

        Raises:
            NotAvroError, FileRefusedError, GateUnavailableError: known already from earlier bytes;
                as in `finish`.
        """
        ...

    async def feed_file(self, path: Path, *, offset: int, size_bytes: int) -> None:
        """
        The same, with the bytes at *path* from *offset* on: the validator reads them itself.

        Waits while the validator is far behind.

        Raises:
            NotAvroError, FileRefusedError, GateUnavailableError: as in `feed`.
        """
        ...

    async def finish(self) -> ValidationResult:
        """
        What the whole file is; every record of it was read, outside this process. Once.

        Raises:
            NotAvroError: it does not begin with the magic bytes `Obj` 1 (Avro 1.12, "Object
                Container Files").
            FileRefusedError: it is wrong, too expensive, or of a schema that is not allowed.
            GateUnavailableError: it could not be validated for a reason that is not the file's.
        """
        ...


class Gate(Protocol):
    """Is this Avro file what it says?"""

    def open(self) -> AbstractAsyncContextManager[FileValidation]:
        """
        Begin with a new file; at the end of the context it is forgotten, whatever happens.

        Raises:
            GateUnavailableError: on entering, when nobody can validate it.
        """
        ...


class ObjectStore(Protocol):
    """Where files are kept."""

    async def put(
        self,
        key: str,
        path: Path,
        *,
        size_bytes: int,
        sha256: str,
        heartbeat: Heartbeat = no_heartbeat,
    ) -> None:
        """
        Store the file at *path* under *key*.

        Durable when this returns, and verified against *sha256* if it was copied.

        Calling it again with the same bytes changes nothing. The file is not written to afterwards:
        the store may keep it by a name of its own, and then trusts the hash, not the length.
        Between two calls of *heartbeat*, before the first and after the last, at most one deadline
        of the store passes. Whatever ends it early, cancellation included, leaves no part of an
        object.

        Raises:
            StoreUnavailableError: no clear answer; the object may be there.
            StoreRefusedError: a clear no; the object is not there.
        """
        ...

    async def head(self, key: str) -> StoredObject | None:
        """
        What is stored under *key*, or None.

        Raises:
            StoreUnavailableError, StoreRefusedError: it cannot be told.
        """
        ...

    def read(self, key: str) -> AsyncIterator[bytes]:
        """
        The object's bytes, in chunks.

        Raises:
            StoreUnavailableError, StoreRefusedError: it cannot be read (a missing object is
                refused).
        """
        ...

    async def check(self) -> None:
        """
        Whether an object could be stored now; cheap, for the readiness check.

        Raises:
            StoreUnavailableError, StoreRefusedError: it could not.
        """
        ...


class Begun(Protocol):
    """The answer of `Ledger.begin`."""

    @property
    def upload(self) -> Upload:
        """The row, new or old."""
        ...

    @property
    def replayed(self) -> bool:
        """
        True.

        An equal upload is stored already, nothing is left to do but to repeat its receipt.
        """
        ...


class Ledger(Protocol):
    """The database's memory of uploads. Every method is one transaction."""

    async def begin(
        self, upload: Upload, *, idempotency_key: IdempotencyKey | None, lease_seconds: float
    ) -> Begun:
        """
        Transaction A.

        Write the row in state `storing`, or find the one that stands for the same bytes.

        *upload* is in state `storing`. One owner has at most one row per hash. A row `storing`
        whose lease has run out belongs to a process that died, and one that is `lost` has no
        object: both are taken over, with their own id and object key, and a new lease. Two
        processes that begin the same bytes at the same moment: exactly one succeeds, the other gets
        `UploadInFlightError`.

        Raises:
            UploadInFlightError: the same bytes, or the same idempotency key, are being stored right
                now.
            IdempotencyKeyReusedError: the owner's key stands for other bytes.
            LedgerUnavailableError: unclear whether the row was written; repeating is safe.
        """
        ...

    async def renew(self, upload_id: UploadId, *, lease_seconds: float) -> None:
        """
        Begin the lease of a row that is still `storing` anew.

        Raises:
            UploadNotFoundError: there is none: somebody has held its process for dead and settled
                it.
            LedgerUnavailableError: unclear whether it was renewed; repeating is safe.
        """
        ...

    async def complete(
        self, upload_id: UploadId, message: OutgoingMessage, *, stored_at: datetime
    ) -> None:
        """
        Transaction B, the point of success.

        The row becomes `stored` and *message* stands in the outbox, in one commit.

        Calling twice is safe: the second time nothing changes.

        Raises:
            UploadNotFoundError: there is no such row any more.
            LedgerUnavailableError: unclear whether it was committed; repeating is safe.
        """
        ...

    async def abandon(self, upload_id: UploadId) -> None:
        """
        Remove a row that is still `storing`, with its idempotency key.

        Gone already is success; `stored` is left alone.

        A row that was lost before becomes `lost` again: its upload was answered with success once.

        Raises:
            LedgerUnavailableError: unclear whether it was removed; repeating is safe.
        """
        ...

    async def get(self, owner: AccountId, upload_id: UploadId) -> Upload:
        """
        One upload of *owner*.

        Raises:
            UploadNotFoundError: there is none, or it is another owner's: the two look alike.
            LedgerUnavailableError: it cannot be told.
        """
        ...

    async def history(
        self,
        owner: AccountId,
        *,
        limit: int,
        cursor: str | None = None,
        record_type: str | None = None,
        state: UploadState | None = None,
    ) -> HistoryPage:
        """
        Uploads of *owner*, newest first, at most *limit*.

        Raises:
            InvalidCursorError: *cursor* is not one of ours.
            LedgerUnavailableError: it cannot be told.
        """
        ...

    async def expired(self, *, limit: int, lease_seconds: float) -> Sequence[Upload]:
        """
        Take over rows still `storing` whose lease has run out, oldest first: the janitor's work.

        The caller holds a new lease on each, so that nobody else finishes or abandons it meanwhile.

        Raises:
            LedgerUnavailableError: it cannot be told; rows may have got the new lease.
        """
        ...

    async def check(self) -> None:
        """
        Whether a row could be written now (a read-only server cannot); for the readiness check.

        Raises:
            LedgerUnavailableError: it could not.
        """
        ...
