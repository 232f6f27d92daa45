"""The use case that marks uploads as lost or found, without waiting for the consistency check."""

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
    """The number of checked uploads, of those that became `lost`, and of those found again."""

    checked: int = 0
    lost: int = 0
    found_again: int = 0


class RepairUploads:
    """
    Checks existence and size of the object of each upload.

    If the object is missing or has another size, the upload becomes `lost`. The bytes are not read:
    the consistency check does that. Repeating is safe.
    """

    def __init__(
        self, uploads: KeptUploads, store: ObjectStore, *, clock: Callable[[], datetime]
    ) -> None:
        self._uploads = uploads
        self._store = store
        self._clock = clock

    async def __call__(self, upload_ids: Collection[UploadId]) -> Repaired:
        """
        Check the uploads of *upload_ids*, or all uploads if it is empty.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: the repair ended
                early; earlier changes stay.
        """
        checked = lost = found_again = 0
        async for uploads in self._chosen(upload_ids):
            for upload in uploads:
                found = await self._store.head(upload.key)
                is_stored = found is not None and found.size_bytes == upload.size_bytes
                checked += 1
                if is_stored and upload.is_lost:
                    await self._uploads.mark_found(upload.upload_id)
                    found_again += 1
                elif not is_stored and not upload.is_lost:
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
