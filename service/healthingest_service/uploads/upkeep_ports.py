"""The ports of the consistency check and of the janitor's jobs."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthingest_service.uploads.model import Sha256, UploadId


@dataclass(frozen=True, slots=True)
class ListedObject:
    """An object as a list of the store has it. `modified_at` is the store's time, aware."""

    key: str
    size_bytes: int
    modified_at: datetime


@dataclass(frozen=True, slots=True)
class ObjectPage:
    """Objects in the order of their keys' bytes; more follow unless it is the last page."""

    objects: Sequence[ListedObject]
    is_last: bool


@dataclass(frozen=True, slots=True)
class UnfinishedPut:
    """
    What a PUT in parts has left so far; `id` names it to the store.

    `key` is empty where the store forgot it.
    """

    key: str
    id: str
    begun_at: datetime


@dataclass(frozen=True, slots=True)
class KeptUpload:
    """An upload that is `stored`, `announced` or `lost`, in so far as its object is concerned."""

    upload_id: UploadId
    key: str
    size_bytes: int
    sha256: Sha256
    stored_at: datetime
    is_lost: bool = False


class StoreInventory(Protocol):
    """
    What lies in the object store below the prefix of uploads.

    Every method raises as `ObjectStore.head` does.
    """

    async def page(self, *, after: str, limit: int) -> ObjectPage:
        """
        Up to *limit* objects whose keys come after that one; "" is the beginning.

        Only the last page is empty.
        """
        ...

    def unfinished(self) -> AsyncIterator[UnfinishedPut]:
        """PUTs that were begun and neither completed nor aborted."""
        ...

    async def abort(self, put: UnfinishedPut) -> None:
        """Remove what it has left. Gone already is success."""
        ...


class KeptUploads(Protocol):
    """
    The ledger, by object key.

    Every method raises `LedgerUnavailableError` when the answer is unclear.
    """

    async def between(self, after: str, until: str, *, limit: int) -> Sequence[KeptUpload]:
        """Return kept uploads with *after* < key <= *until*, in the order of their keys' bytes."""
        ...

    async def known(self, keys: Collection[str]) -> frozenset[str]:
        """Which of *keys* have a row, in whatever state."""
        ...

    async def being_stored(self, keys: Collection[str]) -> frozenset[str]:
        """Which of *keys* a living process is working on."""
        ...

    async def named(self, upload_ids: Collection[UploadId]) -> Sequence[KeptUpload]:
        """Those of *upload_ids* that are kept."""
        ...

    async def mark_lost(self, upload_id: UploadId, *, at: datetime) -> None:
        """
        A stored upload becomes `lost`: the same bytes are stored anew when they are sent again.

        Calling it twice, or for a row that is being stored, changes nothing.
        """
        ...

    async def mark_found(self, upload_id: UploadId) -> None:
        """A lost upload becomes what it was before. Calling it for another one changes nothing."""
        ...

    async def forget(self, upload_id: UploadId) -> bool:
        """Remove a lost upload with its keys and messages; returns whether there was one."""
        ...


class ScheduledJobs(Protocol):
    """
    Scheduled jobs: each interval runs once, in one process at a time, across restarts.

    Every method is one transaction and raises `LedgerUnavailableError` when unclear.
    """

    async def take(self, name: str, slot: int, *, lease_seconds: float) -> str | None:
        """
        Take the job for the interval *slot*, and return where to continue ("" is the beginning).

        None: it is done for this interval, or another process holds the lease.
        """
        ...

    async def note(self, name: str, slot: int, position: str, *, lease_seconds: float) -> None:
        """
        It has come to *position*.

        From now on the lease lasts *lease_seconds* (0: anybody may go on at once).
        """
        ...

    async def finish(self, name: str, slot: int) -> None:
        """It is done for this interval. Calling twice is safe."""
        ...

    async def finished_at(self, name: str) -> datetime | None:
        """When it was last done, by whomever; None: never."""
        ...
