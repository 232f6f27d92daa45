"""
The ports of the core.

Each port has two adapters: an embedded one, and one for an external system. `tests/ports/` runs the
same tests on both.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

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

Heartbeat = Callable[[], Awaitable[None]]
"""A function that long work calls while it makes progress; if it raises, the work ends."""


async def no_heartbeat() -> None:
    """A heartbeat that does nothing."""


SMALL_BODY_BYTES: Final = 64 * 1024
"""A body of at most this size stays in memory, and the worker of the gate gets it by its socket."""


class SpoolFile(Protocol):
    """
    The body of one request, removed at the end of its context.

    It is on local disk, unless it has at most `SMALL_BODY_BYTES`.
    """

    @property
    def content(self) -> bytes | Path:
        """The whole body after `finish`: its bytes if it is small, else the path of its file."""
        ...

    @property
    def readable_bytes(self) -> int:
        """The number of leading bytes that are on disk."""
        ...

    def on_disk(self) -> Path:
        """
        Return the path of the file, which has the first `readable_bytes`.

        A small body is written to it now.

        Raises:
            SpoolFullError, SpoolUnavailableError: as `write`.
        """
        ...

    async def write(self, chunk: bytes) -> None:
        """
        Append *chunk*.

        Raises:
            SpoolFullError: the disk is full, or the limit of the spool is reached.
            SpoolUnavailableError: the disk fails.
        """
        ...

    async def finish(self) -> Sha256:
        """Flush the file, and return the hash of all bytes. Calling twice is safe."""
        ...


class Spool(Protocol):
    """Temporary files for bodies, with a limit on their total size."""

    def open(self) -> AbstractAsyncContextManager[SpoolFile]:
        """
        Open a new, empty file, which is removed at the end of the context.

        Raises:
            SpoolFullError: on entering, when the limit is reached or the disk is full.
            SpoolUnavailableError: on entering, when the folder cannot be written.
        """
        ...


class FileValidation(Protocol):
    """The validation of one file while it is received."""

    async def feed(self, chunk: bytes) -> None:
        """
        Pass the next bytes to the worker; waits for room in its queue, not for the result.

        Raises:
            NotAvroError, FileRefusedError, GateUnavailableError: as in `finish`, if earlier bytes
                have decided the result already.
        """
        ...

    async def feed_file(self, path: Path, *, offset: int, size_bytes: int) -> None:
        """
        Let the worker read the next *size_bytes* of the file at *path*, from *offset* on.

        Waits for room in the worker's queue, as `feed` does.

        Raises:
            NotAvroError, FileRefusedError, GateUnavailableError: as in `feed`.
        """
        ...

    async def finish(self) -> ValidationResult:
        """
        Return the result for the whole file. A worker process has read every record. Call it once.

        Raises:
            NotAvroError: the file does not begin with the magic bytes `Obj` 1 (Avro 1.12, "Object
                Container Files").
            FileRefusedError: the file is invalid, too expensive to validate, or its schema is not
                allowed.
            GateUnavailableError: the file could not be validated, for a reason outside the file.
        """
        ...


class Gate(Protocol):
    """The Avro gate: validates files in worker processes."""

    def open(self) -> AbstractAsyncContextManager[FileValidation]:
        """
        Begin to validate a new file; a validation in progress is cancelled at the context's end.

        Raises:
            GateUnavailableError: on entering, when no worker is available.
        """
        ...


class ObjectStore(Protocol):
    """The store of the uploaded files."""

    async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
        """
        Store *new*. On return the object is durable.

        A copy is verified against the hash. The store may also hard-link the file instead of
        copying it, so the caller must not write to the file afterwards. Calling again with the same
        bytes changes nothing. The store calls *heartbeat* before the object can appear, so that no
        process stores it after its lease, and at least once in each of its deadlines. A call that
        ends early, also by cancellation, leaves no part of an object.

        Raises:
            StoreUnavailableError: no clear answer; the object may be stored.
            StoreRefusedError: the store refused; the object is not stored.
        """
        ...

    async def head(self, key: str) -> StoredObject | None:
        """
        Return what the store knows of the object under *key*; None if it does not exist.

        Raises:
            StoreUnavailableError, StoreRefusedError: the store cannot be read.
        """
        ...

    def read(self, key: str) -> AsyncIterator[bytes]:
        """
        Yield the bytes of the object in chunks.

        Raises:
            StoreUnavailableError, StoreRefusedError: the object cannot be read; for a missing
                object `StoreRefusedError`.
        """
        ...

    async def remove(self, key: str) -> None:
        """
        Remove an object; a missing one is no error, so repeating is safe.

        In a bucket with versions, the earlier versions stay.

        Raises:
            StoreUnavailableError, StoreRefusedError: it may still be there.
        """
        ...

    async def erase(self, key: str) -> int:
        """
        Remove everything under *key*: versions, delete markers, unfinished multipart uploads.

        Returns the number of removed parts of these three kinds; 0 if there was nothing.

        Raises:
            ObjectLockedError: a version is locked; the others are removed.
            StoreUnavailableError, StoreRefusedError: something may still be there.
        """
        ...

    async def remains(self, key: str) -> int:
        """
        Return the number of versions, delete markers and unfinished uploads under *key*.

        Raises:
            StoreUnavailableError, StoreRefusedError: the store cannot be read.
        """
        ...

    def read_range(self, key: str, *, offset: int, size_bytes: int) -> AsyncGenerator[bytes, None]:
        """
        Yield exactly *size_bytes* bytes of the object, from *offset* on, in chunks.

        Each chunk has a deadline of its own, so the caller may take any time between chunks. Close
        the iterator if you do not read it to its end; it holds a connection or a file.

        Raises:
            ObjectLostError: before the first chunk: no such object, or it is shorter.
            StoreUnavailableError, StoreRefusedError: the object cannot be read; also after some
                chunks.
        """
        ...

    async def check(self) -> None:
        """
        Check that an object could be stored now; cheap, for the readiness check.

        Raises:
            StoreUnavailableError, StoreRefusedError: no object could be stored.
        """
        ...


class Begun(Protocol):
    """The result of `Ledger.begin`."""

    @property
    def upload(self) -> Upload:
        """The new or existing upload."""
        ...

    @property
    def replayed(self) -> bool:
        """Whether an equal upload is stored already, so that only its receipt is repeated."""
        ...


Removal = Callable[[], Awaitable[None]]
"""Removes the object of an upload."""


class Ledger(Protocol):
    """The uploads in the database. Every method is one transaction."""

    async def begin(
        self, upload: Upload, *, idempotency_key: IdempotencyKey | None, lease_seconds: float
    ) -> Begun:
        """
        Insert *upload* in state `storing`, or return the owner's row for the same bytes.

        This is the first of the two transactions of an upload. An owner has at most one row per
        hash, study and subject. A row is taken over if it is `storing` with an expired lease, or
        `lost`: it keeps its id and object key, and gets a new lease. Of two processes that begin
        the same bytes at once, one succeeds, and the other gets `UploadInFlightError`.

        Raises:
            UploadInFlightError: another process stores the same bytes or the same idempotency key.
            IdempotencyKeyReusedError: the owner has used the key for other bytes.
            LedgerUnavailableError: unclear whether the row was written; repeating is safe.
        """
        ...

    async def renew(self, upload_id: UploadId, *, lease_seconds: float) -> None:
        """
        Renew the lease of a row in state `storing`.

        Raises:
            UploadNotFoundError: the row is not `storing` any more: its lease had expired, and the
                janitor has settled it.
            LedgerUnavailableError: unclear whether the lease was renewed; repeating is safe.
        """
        ...

    async def complete(
        self,
        upload_id: UploadId,
        message: OutgoingMessage,
        *,
        stored_at: datetime,
        event: AuditEvent | None = None,
    ) -> None:
        """
        Mark the upload as `stored`, put *message* into the outbox, and record *event*.

        All of it is one commit.

        This is the second transaction of an upload; its commit is the point of success. A second
        call changes nothing.

        Raises:
            UploadNotFoundError: the row does not exist any more.
            SubjectWithdrawnError, SubjectErasedError: the subject has left the study meanwhile; the
                row stays `storing`.
            UploadErasedError: the upload was erased, after its lease had expired.
            LedgerUnavailableError: unclear whether it was committed; repeating is safe.
        """
        ...

    async def abandon(self, upload_id: UploadId, *, remove: Removal | None = None) -> None:
        """
        Remove a row in state `storing`, with its idempotency key.

        A missing row and other states are left unchanged, without an error. A row that was `lost`
        before becomes `lost` again, because its client has a receipt.

        *remove* removes the object. It is called only for a row in state `storing`, and nobody can
        complete the upload meanwhile, so no object of a successful upload is removed. It is also
        called for an upload that was erased: its process may have stored the object after that.

        Raises:
            LedgerUnavailableError: unclear whether the row was removed; repeating is safe.
            StoreUnavailableError, StoreRefusedError: of *remove*; the row is unchanged.
        """
        ...

    async def find(self, upload_id: UploadId) -> Upload:
        """
        Return an upload of any owner. The caller decides who may know of it.

        Raises:
            UploadNotFoundError: the upload does not exist.
            LedgerUnavailableError: the database cannot be read.
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
        Return a page of the uploads of *owner*, newest first, at most *limit*.

        *cursor* is `next_cursor` of the previous page, None for the first page.

        Raises:
            InvalidCursorError: *cursor* was not issued by this service.
            LedgerUnavailableError: the database cannot be read.
        """
        ...

    async def expired(self, *, limit: int, lease_seconds: float) -> Sequence[Upload]:
        """
        Take over up to *limit* rows `storing` with an expired lease, oldest first.

        The caller gets a new lease of *lease_seconds* on each, so no other process settles them.

        Raises:
            LedgerUnavailableError: no clear answer; rows may have the new lease.
        """
        ...

    async def check(self) -> None:
        """
        Check that a row could be written now, also that the server is not read-only.

        Raises:
            LedgerUnavailableError: no row could be written.
        """
        ...
