"""
The use case.

Let the ledger say what the object store has, without waiting for the next consistency check.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from healthingest_contract.object_keys import AFTER_ALL_KEYS
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.upkeep_ports import KeptUpload, KeptUploads

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class Repaired:
    """How many uploads were looked at, how many became `lost`, and how many were found again."""

    checked: int = 0
    lost: int = 0
    found_again: int = 0


class RepairUploads:
    """
    Asks the store for the object of each upload.

    A missing one, or one of another size, makes the upload `lost`.

    Bytes are not read: the consistency check does that. Repeating is safe.
    """

    def __init__(
        self, uploads: KeptUploads, store: ObjectStore, *, clock: Callable[[], datetime]
    ) -> None:
        self._uploads = uploads
        self._store = store
        self._clock = clock

    async def __call__(self, upload_ids: Collection[UploadId]) -> Repaired:
        """
        Repair the uploads of *upload_ids*, or all when it is empty.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: it ended early; what
                was done stays.
        """
        checked = lost = found_again = 0
        async for uploads in self._chosen(upload_ids):
            for upload in uploads:
                found = await self._store.head(upload.key)
                is_there = found is not None and found.size_bytes == upload.size_bytes
                checked += 1
                if is_there and upload.is_lost:
                    await self._uploads.mark_found(upload.upload_id)
                    found_again += 1
                elif not is_there and not upload.is_lost:
                    await self._uploads.mark_lost(upload.upload_id, at=self._clock())
                    lost += 1
        return Repaired(checked, lost, found_again)

    async def _chosen(
        self, upload_ids: Collection[UploadId]
    ) -> AsyncIterator[Sequence[KeptUpload]]:
        if upload_ids:
            yield await self._uploads.named(upload_ids)
            return
        after = ""
        while uploads := await self._uploads.between(after, AFTER_ALL_KEYS, limit=_PAGE):
            yield uploads
            after = uploads[-1].key
