"""The routes of uploads."""

from collections.abc import AsyncGenerator
from http import HTTPStatus
from pathlib import Path
from typing import Final
from uuid import uuid4

from healthingest_client import download, file_upload
from healthingest_client.documents import Receipt, Upload
from healthingest_client.errors import ContentMismatchError, ProblemError, StillWaitingError
from healthingest_client.file_upload import About, Advance, LocalFile, Sending
from healthingest_client.session import path_of
from healthingest_client.study_calls import StudyCalls

_FINAL: Final = frozenset({"announced", "lost"})
_FIRST_POLL_SECONDS: Final = 0.5
_LONGEST_POLL_SECONDS: Final = 30.0


class UploadCalls(StudyCalls):
    """What an account does with files."""

    _resumable_from_bytes: int

    async def upload(
        self,
        path: Path,
        *,
        study: str | None = None,
        subject: str | None = None,
        idempotency_key: str | None = None,
        advance: Advance | None = None,
    ) -> Receipt:
        """
        Upload a file, and return its receipt. The file is streamed, never held in memory.

        The file is read once before, for its digest. If its bytes change in transit, or on the disk
        meanwhile, they are refused. A file of 256 KiB or more is resumable: a cut connection goes
        on with the next byte.

        Raises:
            FileChangedError, ContentMismatchError: the file changed meanwhile.
            OSError: the file cannot be read.
        """
        sending = Sending(
            LocalFile.at(path),
            About(study, subject),
            idempotency_key or str(uuid4()),
            advance=advance,
        )
        receipt = await self.send_file(sending)
        return receipt if "object_key" in receipt else await self._completed(receipt)

    async def send_file(self, sending: Sending) -> Receipt:
        """Upload a file that another process may have begun; see `file_upload.Sending`."""
        return await file_upload.send(
            self._session, sending, resumable_from_bytes=self._resumable_from_bytes
        )

    async def uploads(self, /, **filters: str | int | None) -> AsyncGenerator[Upload, None]:
        """
        Yield all uploads of the account, newest first, page by page.

        *filters* are query parameters of the route, for example `record_type` or `state`.
        """
        async for upload in self._all("/v1/uploads", "uploads", filters):
            yield upload

    async def get_upload(self, upload_id: str) -> Upload:
        """Return one upload with its state."""
        found: Upload = await self._got(path_of("v1", "uploads", upload_id))
        return found

    async def watch(
        self, upload_id: str, *, timeout_seconds: float = 3600.0
    ) -> AsyncGenerator[Upload, None]:
        """
        Yield an upload whenever its state changes; the last state is `announced` or `lost`.

        Raises:
            StillWaitingError: after *timeout_seconds* it has none of them.
        """
        wait = _FIRST_POLL_SECONDS
        waited = 0.0
        before = ""
        while True:
            upload = await self.get_upload(upload_id)
            if upload["state"] != before:
                before = upload["state"]
                yield upload
            if before in _FINAL:
                return
            if waited >= timeout_seconds:
                message = f"{upload_id}: still {before} after {timeout_seconds:.0f} s"
                raise StillWaitingError(message)
            wait = min(wait, timeout_seconds - waited)
            await self._session.sleep(wait)
            waited += wait
            wait = min(2 * wait, _LONGEST_POLL_SECONDS)

    async def download(
        self, upload_id: str, target: Path, *, advance: Advance | None = None
    ) -> Path:
        """
        Write the file of an upload to *target*, a new file or a folder; returns its path.

        A cut goes on with the next byte, also in another process. The digest is compared before the
        file gets its name.

        Raises:
            ContentMismatchError: the bytes are not those of the upload; they are removed.
            OSError: *target* exists, or cannot be written.
        """
        return await download.download(self._session, upload_id, target, advance)

    async def _completed(self, receipt: Receipt) -> Receipt:
        """
        Return the receipt of a resumable file with all members.

        Raises:
            ContentMismatchError: the server has other bytes than the file.
        """
        try:
            upload = await self.get_upload(receipt["upload_id"])
        except ProblemError as error:
            if error.status != HTTPStatus.FORBIDDEN:  # the token may only write
                raise
            return receipt
        if upload["file_hash"] != receipt["file_hash"]:
            message = f"{receipt['upload_id']}: the server has other bytes than the file"
            raise ContentMismatchError(message)
        return {
            **receipt,
            "object_key": upload["object_key"],
            "correlation_id": upload["correlation_id"],
            "record_type": upload["record_type"],
            "record_count": upload["record_count"],
        }
