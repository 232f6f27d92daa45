"""The records of a file as Python values, with fastavro."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import islice
from tempfile import SpooledTemporaryFile
from typing import Any, Final

import fastavro

from healthingest_consumer.errors import RecordsUnreadableError

_MEMORY_BYTES: Final = 8 * 1024 * 1024
"""Larger files are kept on the disk while they are read."""
_BATCH: Final = 100


async def records(chunks: AsyncIterator[bytes]) -> AsyncGenerator[dict[str, Any], None]:
    """
    Yield the records of a file, by the schema that it was written with.

    *chunks* are read to their end first, so that no record comes before the file is verified.

    Raises:
        RecordsUnreadableError: fastavro cannot read it.
    """
    with SpooledTemporaryFile(max_size=_MEMORY_BYTES) as file:
        async for chunk in chunks:
            await asyncio.to_thread(file.write, chunk)
        await asyncio.to_thread(file.seek, 0)
        reader = await asyncio.to_thread(_opened, file)
        while batch := await asyncio.to_thread(_read, reader):
            for record in batch:
                yield record


def _opened(file: Any) -> Iterator[Any]:  # noqa: ANN401 - any binary file
    try:
        found: Iterator[Any] = fastavro.reader(file)
    # BLE001: fastavro raises what its codecs raise; none of it is shown, it may have contents
    except Exception:  # noqa: BLE001
        raise RecordsUnreadableError from None
    return found


def _read(reader: Iterator[Any]) -> list[dict[str, Any]]:
    try:
        return list(islice(reader, _BATCH))
    except Exception:  # noqa: BLE001 - as above
        raise RecordsUnreadableError from None
