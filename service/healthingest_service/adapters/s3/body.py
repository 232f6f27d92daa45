"""
A piece of a file as the body of a request.

aiohttp reads files 64 KiB at a time, each in a turn of a thread of its own, which costs more than
to send them: here it is a megabyte a turn. What botocore wants of a body (`read`, `seek`, `tell`)
is there, and used by it to send again.
"""

import asyncio
import io
from typing import Final

from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import Payload

_FIRST_BYTES: Final = 64 * 1024
"""Soon there, so that the server can begin."""
_CHUNK_BYTES: Final = 1024 * 1024


class FileBody(Payload):
    """*size_bytes* of *file* from *offset* on. The file stays its opener's."""

    _autoclose = True  # nothing is held here that must be closed

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
        """See `Payload.decode`: a body is never text here."""
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
        """See `Payload.write_with_length`: the length is ours."""
        del content_length
        await self.write(writer)
