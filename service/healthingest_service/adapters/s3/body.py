"""
A part of a file as a request body.

aiohttp reads files in chunks of 64 KiB, each in a thread, which costs more than sending them. This
body reads 1 MiB at a time. botocore uses `read`, `seek` and `tell` to send a body again.
"""

import asyncio
import io
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_FIRST_BYTES: Final = 64 * 1024
"""A small first chunk, so that the server can begin early."""
_CHUNK_BYTES: Final = 1024 * 1024


class FileBody(Payload):
    """*size_bytes* of *file* from *offset* on. The caller closes the file."""

    _autoclose = True  # this object has nothing to close

    def __init__(self, file: io.BufferedReader, offset: int, size_bytes: int) -> None:
        super().__init__(file)
        self._file = file
        self._offset = offset
        self._size = size_bytes
        self._at = 0

    def tell(self) -> int:
        """See `io.IOBase.tell`."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """See `io.IOBase.seek`."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size or 0}[whence]
        self._at = min(max(start + offset, 0), self._size or 0)
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """See `io.RawIOBase.read`."""
        left = (self._size or 0) - self._at
        self._file.seek(self._offset + self._at)
        data = self._file.read(left if size < 0 else min(size, left))
        self._at += len(data)
        return data

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        """See `Payload.decode`; not supported, since the body is binary."""
        raise NotImplementedError

    async def write(self, writer: AbstractStreamWriter) -> None:
        """See `Payload.write`."""
        self._at = 0
        wanted = _FIRST_BYTES
        while data := await asyncio.to_thread(self.read, wanted):
            await writer.write(data)
            wanted = _CHUNK_BYTES
            if self._at == self._size:
                break

    async def write_with_length(
        self, writer: AbstractStreamWriter, content_length: int | None
    ) -> None:
        """See `Payload.write_with_length`; the length is always *size_bytes*."""
        del content_length
        await self.write(writer)
