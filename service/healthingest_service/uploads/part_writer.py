"""Stores the bytes of a resumable upload as parts while they come."""

from collections.abc import AsyncGenerator, AsyncIterator, Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.ports import ObjectStore, Spool, SpoolFile
from healthingest_service.uploads.resumable import LengthExceededError, Part, Resumable, part_key
from healthingest_service.uploads.resumable_ports import ResumableUploads
from healthingest_service.uploads.upload_lease import UploadLease

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager


class PartWriter:
    """
    Gathers bytes in the spool, and stores them as a part when *part_bytes* have come.

    Use it as a context, at whose end the bytes that are not stored are dropped.
    """

    def __init__(  # noqa: PLR0913 - the ports and rules of one request
        self,
        resumable: Resumable,
        *,
        max_bytes: int,
        uploads: ResumableUploads,
        store: ObjectStore,
        spool: Spool,
        part_bytes: int,
        lease_seconds: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._clock = clock
        self._resumable = resumable
        self._uploads = uploads
        self._store = store
        self._spool = spool
        self._max_bytes = max_bytes
        self._part_bytes = part_bytes
        self._lease_seconds = lease_seconds
        self._stored_bytes = resumable.received_bytes
        self._pending_bytes = 0
        self._opening: AbstractAsyncContextManager[SpoolFile] | None = None
        self._file: SpoolFile | None = None
        self.has_ended = False
        """Whether the body of the request came to its end."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._close()

    @property
    def stored_bytes(self) -> int:
        """The number of leading bytes of the file that are stored as parts."""
        return self._stored_bytes

    @property
    def received_bytes(self) -> int:
        """The number of leading bytes of the file that have come, stored or not."""
        return self._stored_bytes + self._pending_bytes

    @property
    def is_complete(self) -> bool:
        """Whether as many bytes have come as the file has; not known without its size."""
        return self.received_bytes == self._resumable.size_bytes

    async def copied(self, body: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
        """
        Yield *body* unchanged, and keep its bytes.

        Raises:
            LengthExceededError: more bytes came than the file has.
        """
        async for chunk in body:
            await self.write(chunk)
            yield chunk
        self.has_ended = True

    async def write(self, chunk: bytes) -> None:
        """
        Append *chunk*.

        Raises:
            LengthExceededError: more bytes came than the file has.
        """
        if self.received_bytes + len(chunk) > self._max_bytes:
            raise LengthExceededError
        if self._file is None:
            self._opening = self._spool.open()
            self._file = await self._opening.__aenter__()
        await self._file.write(chunk)
        self._pending_bytes += len(chunk)
        # The last bytes are not stored as a part: the whole file is about to be.
        if self._pending_bytes >= self._part_bytes and not self.is_complete:
            await self.store()

    async def store(self) -> None:
        """Store the gathered bytes as a part; they count as received then."""
        if self._file is None:
            return
        sha256 = await self._file.finish()
        resumable = self._resumable
        key = part_key(resumable.id, resumable.writer, self._stored_bytes)
        part = Part(self._stored_bytes, self._pending_bytes, key)
        begins_at = self._clock()
        await self._uploads.begin_part(
            resumable.id, resumable.writer, part, lease_seconds=self._lease_seconds
        )
        renew = partial(
            self._uploads.renew, resumable.id, resumable.writer, lease_seconds=self._lease_seconds
        )
        lease = UploadLease(
            renew, seconds=self._lease_seconds, begun_at=begins_at, clock=self._clock
        )
        new = NewObject(key, self._file.content, part.size_bytes, sha256)
        await self._store.put(new, heartbeat=lease.keep)
        await self._uploads.add_part(resumable.id, resumable.writer, part)
        self._stored_bytes += part.size_bytes
        await self._close()

    async def gathered(self) -> Path | None:
        """Return the file with the bytes that are not stored; None if there are none."""
        if self._file is None:
            return None
        await self._file.finish()
        return self._file.on_disk()

    async def _close(self) -> None:
        opening = self._opening
        self._opening = self._file = None
        self._pending_bytes = 0
        if opening is not None:
            await opening.__aexit__(None, None, None)
