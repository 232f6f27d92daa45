"""The use case that opens the file of an upload for its readers."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing

from healthingest_service.identity.model import Principal
from healthingest_service.uploads.errors import ObjectLostError, UploadNotFoundError
from healthingest_service.uploads.model import Upload, UploadId, UploadState
from healthingest_service.uploads.permissions import may_read_content
from healthingest_service.uploads.ports import Ledger, ObjectStore


class ReadContent:
    """Finds an upload for a reader, and reads its file."""

    def __init__(self, *, ledger: Ledger, store: ObjectStore) -> None:
        self._ledger = ledger
        self._store = store

    async def find(self, principal: Principal, upload_id: UploadId) -> Upload:
        """
        Return the stored upload *upload_id*.

        Raises:
            UploadNotFoundError: it does not exist, is not stored yet, or *principal* may not read
                it; the three look alike.
            ObjectLostError: its object is known to be lost.
            LedgerUnavailableError: the database cannot be read.
        """
        upload = await self._ledger.find(upload_id)
        if not may_read_content(principal, upload) or upload.state is UploadState.STORING:
            raise UploadNotFoundError
        if upload.state is UploadState.LOST:
            raise ObjectLostError
        return upload

    async def read(
        self, upload: Upload, offset: int, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        """
        Yield *size_bytes* bytes of the file from *offset* on.

        If this is the whole file, its hash is verified before the last chunk is returned.

        Raises:
            ObjectLostError: the object does not exist, or has other bytes.
            StoreUnavailableError, StoreRefusedError: as `ObjectStore.read_range`.
        """
        receipt = upload.receipt
        chunks = self._store.read_range(receipt.object_key, offset=offset, size_bytes=size_bytes)
        digest = hashlib.sha256()
        is_whole = size_bytes == receipt.file_size_bytes
        left = size_bytes
        async with aclosing(chunks):
            async for chunk in chunks:
                left -= len(chunk)
                if is_whole:
                    digest.update(chunk)
                    if not left and digest.hexdigest() != receipt.file_hash:
                        raise ObjectLostError
                yield chunk
