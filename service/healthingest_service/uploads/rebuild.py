"""The use case that rebuilds the uploads in the database from the objects in the bucket."""

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from healthingest_contract.object_keys import is_object_key
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.object_metadata import upload_of
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.upkeep_ports import KeptUploads, ListedObject, StoreInventory

_Result = TypeVar("_Result")
_PAGE: Final = 1000
"""Objects in one page of the listing: the maximum of S3 (API reference, "ListObjectsV2")."""
_STORE_REQUESTS: Final = 32
"""Maximum number of concurrent HEAD requests."""


@dataclass(frozen=True, slots=True)
class _Page:
    """The objects of one page: the uploads without a row, and the counts of the other objects."""

    uploads: Sequence[Upload]
    others: "Rebuilt"
    next_after: str | None
    """The last key; None: there are no further pages."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    The number of listed objects, by outcome.

    `known` objects had a row, `rebuilt` objects got one. `unreadable` objects have the key of an
    upload, but no metadata, or a time or hash that contradicts the key. `foreign` objects have
    another key.
    """

    listed: int = 0
    known: int = 0
    rebuilt: int = 0
    unreadable: int = 0
    foreign: int = 0

    def __add__(self, other: "Rebuilt") -> "Rebuilt":
        """Return the sums."""
        return Rebuilt(
            self.listed + other.listed,
            self.known + other.known,
            self.rebuilt + other.rebuilt,
            self.unreadable + other.unreadable,
            self.foreign + other.foreign,
        )


class RebuildUploads:
    """
    Adds the missing row in the database for each object of an upload, from its key and metadata.

    Each rebuilt upload is announced again, because the outbox may have been lost, too; consumers
    recognise it by its idempotency key. A second run is safe, and cheap.
    """

    def __init__(
        self,
        inventory: StoreInventory,
        store: ObjectStore,
        uploads: KeptUploads,
        *,
        bucket: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._inventory = inventory
        self._store = store
        self._uploads = uploads
        self._bucket = bucket
        self._clock = clock

    async def __call__(
        self, *, dry: bool, progress: Callable[[Rebuilt], None] = lambda _: None
    ) -> Rebuilt:
        """
        Rebuild all uploads, and return the counts. If *dry* is true, only count them.

        *progress* gets the total counts after each page, so the caller has them after an error.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: database or store
                failed; rows that were added stay.
        """
        done = Rebuilt()
        page = await self._read_page("")
        while page.next_after is not None:
            following = asyncio.create_task(self._read_page(page.next_after))
            try:
                done += await self._rebuild(page, dry=dry)
                progress(done)
                page = await following
            finally:
                following.cancel()
                await asyncio.gather(following, return_exceptions=True)
        done += await self._rebuild(page, dry=dry)
        progress(done)
        return done

    async def _read_page(self, after: str) -> _Page:
        """Return the next page of objects, with the metadata of those without a row."""
        page = await self._inventory.page(after=after, limit=_PAGE)
        ours = [one for one in page.objects if is_object_key(one.key)]
        known = await self._uploads.with_rows({one.key for one in ours})
        missing = [one for one in ours if one.key not in known]
        slots = asyncio.Semaphore(_STORE_REQUESTS)
        read = await _all([self._read(one, slots) for one in missing])
        uploads = [upload for upload in read if upload is not None]
        others = Rebuilt(
            listed=len(page.objects),
            known=len(known),
            unreadable=len(missing) - len(uploads),
            foreign=len(page.objects) - len(ours),
        )
        return _Page(uploads, others, None if page.is_last else page.objects[-1].key)

    async def _rebuild(self, page: _Page, *, dry: bool) -> Rebuilt:
        added = len(page.uploads) if dry else await self._add(page.uploads)
        return page.others + Rebuilt(known=len(page.uploads) - added, rebuilt=added)

    async def _read(self, listed: ListedObject, slots: asyncio.Semaphore) -> Upload | None:
        """Return the upload of an object; None: the object is gone or does not describe one."""
        async with slots:
            stored = await self._store.head(listed.key)
        if stored is None:  # removed since it was listed
            return None
        try:
            return upload_of(listed.key, stored, stored_at=listed.modified_at)
        except ValueError:
            return None

    async def _add(self, uploads: Sequence[Upload]) -> int:
        if not uploads:
            return 0
        now = self._clock()
        return await self._uploads.add(
            [(upload, announcement(upload, self._bucket, at=now)) for upload in uploads]
        )


async def _all(work: Iterable[Coroutine[object, object, _Result]]) -> list[_Result]:
    """Return all results; after the first error the other work is cancelled."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
