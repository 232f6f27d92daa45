"""The use case that opens the file of an upload for its readers."""

import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress

from healthingest_service.identity.model import Principal
from healthingest_service.studies.model import DEFAULT_STUDY, NO_STANDING
from healthingest_service.studies.ports import Studies
from healthingest_service.uploads.errors import ObjectLostError, UploadNotFoundError
from healthingest_service.uploads.model import Upload, UploadId, UploadState
from healthingest_service.uploads.permissions import is_owner, may_read
from healthingest_service.uploads.ports import Ledger, ObjectStore


class ReadUpload:
    """Finds an upload for a reader, and reads its file."""

    def __init__(self, *, ledger: Ledger, store: ObjectStore, studies: Studies) -> None:
        self._ledger = ledger
        self._store = store
        self._studies = studies

    async def find(self, principal: Principal, upload_id: UploadId) -> Upload:
        """
        Return the upload *upload_id*.

        Raises:
            UploadNotFoundError: it does not exist, or *principal* may not read it; the error does
                not say which.
            LedgerUnavailableError, StudiesUnavailableError: the database cannot be read.
        """
        upload = None
        with suppress(UploadNotFoundError):
            upload = await self._ledger.find(upload_id)
        if upload is not None and is_owner(principal, upload):
            standing = NO_STANDING
        else:  # a missing upload takes as long as a foreign one, so that its time tells nothing
            study = DEFAULT_STUDY if upload is None else upload.study
            access = await self._studies.access(principal.account_id, study)
            standing = NO_STANDING if access is None else access.standing
        if upload is None or not may_read(principal, upload, standing):
            raise UploadNotFoundError
        return upload

    async def find_stored(self, principal: Principal, upload_id: UploadId) -> Upload:
        """
        Return the upload *upload_id*, whose file can be read.

        Raises:
            UploadNotFoundError: as in `find`, or it is not stored yet.
            ObjectLostError: its object is known to be lost.
            LedgerUnavailableError, StudiesUnavailableError: the database cannot be read.
        """
        upload = await self.find(principal, upload_id)
        if upload.state is UploadState.STORING:
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
