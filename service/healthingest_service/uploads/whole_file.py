"""Reads a file that came in parts as a whole."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from healthingest_service.uploads.errors import ObjectLostError
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.resumable import ResumableId, is_gapless
from healthingest_service.uploads.resumable_ports import ResumableUploads

_CHUNK_BYTES: Final = 256 * 1024


async def whole_file(
    uploads: ResumableUploads,
    store: ObjectStore,
    resumable_id: ResumableId,
    *,
    stored_bytes: int,
    tail: Path | None,
) -> AsyncGenerator[bytes, None]:
    """
    Yield the parts of a file, which have *stored_bytes*, and then *tail*.

    Close the iterator if you do not read it to its end; it holds a connection or a file.

    Raises:
        ObjectLostError: a part is missing.
        LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: a part cannot be read.
    """
    parts = await uploads.stored_parts(resumable_id)
    if not is_gapless(parts, stored_bytes):
        raise ObjectLostError
    for part in parts:
        chunks = store.read_range(part.key, offset=0, size_bytes=part.size_bytes)
        async with aclosing(chunks):
            async for chunk in chunks:
                yield chunk
    if tail is None:
        return
    # Not in a thread: if that were cancelled, the file would stay open.
    with tail.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
            yield chunk
