"""The ports of the consistency check and of the janitor's jobs."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthingest_contract.object_keys import PREFIX
from healthingest_service.uploads.model import OutgoingMessage, Sha256, Upload, UploadId


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object in a listing of the store. `modified_at` is timezone-aware."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """A page of objects, in byte order of their keys; more follow unless it is the last."""

    objects: Sequence[ListedObject]
    is_last: bool


@dataclass(frozen=True, slots=True)
class UnfinishedPut:
    """
    A multipart PUT that was neither completed nor aborted.

    `id` identifies it in the store. `key` is empty if the store does not know the object key.
    """

    key: str
    id: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """The object of an upload in state `stored`, `announced` or `lost`, as the database has it."""

    upload_id: UploadId
    key: str
    size_bytes: int
    sha256: Sha256
    stored_at: datetime
    is_lost: bool = False


class StoreInventory(Protocol):
    """
    Lists the objects and unfinished PUTs in the object store.

    Every method raises the errors of `ObjectStore.head`.
    """

    async def page(self, *, after: str, limit: int, prefix: str = PREFIX) -> ObjectPage:
        """
        Return up to *limit* objects with *prefix* and keys greater than *after* ("": beginning).

        *prefix* ends with a slash; by default it is that of the objects of uploads.

        Only the last page may be empty.
        """
        ...

    def unfinished(self) -> AsyncIterator[UnfinishedPut]:
        """Yield the PUTs that were neither completed nor aborted."""
        ...

    async def abort(self, put: UnfinishedPut) -> None:
        """Remove the parts of *put*. It is no error if they do not exist any more."""
        ...


class KeptUploads(Protocol):
    """
    The uploads in the database, by object key.

    Every method raises `LedgerUnavailableError` if the database gives no clear answer.
    """

    async def between(self, after: str, until: str, *, limit: int) -> Sequence[KeptUpload]:
        """Return uploads with *after* < key <= *until*, in byte order of their keys."""
        ...

    async def with_rows(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of *keys* that have a row in any state."""
        ...

    async def erased_keys(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of *keys*, which are object keys, under which nothing may be stored."""
        ...

    async def being_stored(self, keys: Collection[str]) -> frozenset[str]:
        """Return those of *keys* whose row is `storing` with a valid lease."""
        ...

    async def named(self, upload_ids: Collection[UploadId]) -> Sequence[KeptUpload]:
        """Return those of *upload_ids* that are `stored`, `announced` or `lost`."""
        ...

    async def mark_lost(self, upload_id: UploadId, *, at: datetime) -> None:
        """
        Mark a stored upload as `lost`, so that the same bytes are stored when they are sent again.

        A second call, or a call for a row in state `storing`, changes nothing.
        """
        ...

    async def mark_found(self, upload_id: UploadId) -> None:
        """Return a lost upload to its previous state; in other states nothing changes."""
        ...

    async def add(self, uploads: Sequence[tuple[Upload, OutgoingMessage]]) -> int:
        """
        Add uploads in state `stored` with their messages, in one transaction.

        An upload whose id, key or owner and hash exist already is left out. Returns the number of
        added uploads.
        """
        ...

    async def forget(self, upload_id: UploadId) -> bool:
        """Remove a lost upload, its idempotency keys and messages; returns whether it existed."""
        ...


class IdempotencyKeys(Protocol):
    """The `Idempotency-Key`s of uploads."""

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """
        Remove up to *limit* keys that were stored before *before*, and return their number.

        The uploads stay; a removed key may be used for other bytes.

        Raises:
            LedgerUnavailableError: the database gave no clear answer; repeating is safe.
        """
        ...


class ScheduledJobs(Protocol):
    """
    Scheduled jobs, which run once in each interval, in one process at a time, across restarts.

    Every method is one transaction. It raises `LedgerUnavailableError` if the database gives no
    clear answer.
    """

    async def take(self, name: str, slot: int, *, lease_seconds: float) -> str | None:
        """
        Take the job for the interval *slot*; returns the position to continue at ("": beginning).

        Returns None if the job is finished for this interval, or another process holds the lease.
        """
        ...

    async def note(self, name: str, slot: int, position: str, *, lease_seconds: float) -> None:
        """Record the position, and renew the lease for *lease_seconds* (0 releases the job)."""
        ...

    async def finish(self, name: str, slot: int) -> None:
        """Record that the job is finished for this interval. Calling twice is safe."""
        ...

    async def finished_at(self, name: str) -> datetime | None:
        """Return when the job last finished in any process; None if never."""
        ...
