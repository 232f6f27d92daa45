"""The use case that rebuilds the uploads in the database from the objects in the bucket."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from healthingest_contract.object_keys import is_object_key
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.object_metadata import upload_of
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.upkeep_ports import KeptUploads, ListedObject, StoreInventory

_PAGE: Final = 200
_STORE_REQUESTS: Final = 16
"""Maximum number of concurrent HEAD requests."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """
    The number of listed objects: those with a row, those that got one, and the others.

    `unreadable` objects have the key of an upload, and no metadata or other bytes. `foreign` ones
    have another key.
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
    Gives each object of an upload its row in the database, from key and metadata.

    Each rebuilt upload is announced again, since the outbox may have been lost, too; consumers
    recognise it by its idempotency key. Repeating is safe, and needs little work.
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
        Rebuild all uploads, and return the counts. If *dry* is true, rows are only counted.

        *progress* gets the total counts after each page, so that they are known after an error.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: it ended early; rows
                that were added stay.
        """
        done = Rebuilt()
        after = ""
        while True:
            page = await self._inventory.page(after=after, limit=_PAGE)
            done += await self._rebuild(page.objects, dry=dry)
            progress(done)
            if page.is_last:
                return done
            after = page.objects[-1].key

    async def _rebuild(self, objects: Sequence[ListedObject], *, dry: bool) -> Rebuilt:
        ours = [one for one in objects if is_object_key(one.key)]
        known = await self._uploads.with_rows({one.key for one in ours})
        missing = [one for one in ours if one.key not in known]
        slots = asyncio.Semaphore(_STORE_REQUESTS)
        read = await asyncio.gather(*(self._read(one, slots) for one in missing))
        uploads = [upload for upload in read if upload is not None]
        added = len(uploads) if dry else await self._add(uploads)
        return Rebuilt(
            listed=len(objects),
            known=len(known) + len(uploads) - added,
            rebuilt=added,
            unreadable=len(missing) - len(uploads),
            foreign=len(objects) - len(ours),
        )

    async def _read(self, listed: ListedObject, slots: asyncio.Semaphore) -> Upload | None:
        """Return the upload of an object; None: the object does not describe one."""
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
