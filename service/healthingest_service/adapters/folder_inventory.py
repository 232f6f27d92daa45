"""The port `StoreInventory` with a folder."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from typing_extensions import override

from healthingest_contract.object_keys import PREFIX
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.upkeep_ports import (
    ListedObject,
    ObjectPage,
    StoreInventory,
    UnfinishedPut,
)

Answer = TypeVar("Answer")

_UNFINISHED: Final = ".unfinished"  # the same name as in `FolderStore`


class FolderInventory(StoreInventory):
    """
    Lists the objects of a `FolderStore`.

    An unfinished PUT is a temporary file, whose object key is unknown.
    """

    def __init__(self, root: Path, *, timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._timeout_seconds = timeout_seconds

    @override
    async def page(self, *, after: str, limit: int, prefix: str = PREFIX) -> ObjectPage:
        found = await self._in_thread(
            lambda: list(islice(_objects(self._root / prefix, prefix, after), limit + 1))
        )
        return ObjectPage(found[:limit], is_last=len(found) <= limit)

    @override
    async def unfinished(self) -> AsyncIterator[UnfinishedPut]:
        for one in await self._in_thread(lambda: list(_unfinished(self._root / _UNFINISHED))):
            yield one

    @override
    async def abort(self, put: UnfinishedPut) -> None:
        path = self._root / _UNFINISHED / Path(put.id).name
        await self._in_thread(lambda: path.unlink(missing_ok=True))

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            raise StoreUnavailableError from error
        except OSError as error:
            raise StoreRefusedError from error


def _objects(folder: Path, prefix: str, after: str) -> Iterator[ListedObject]:
    """
    Yield the files below *folder* with keys greater than *after*, in byte order of their keys.

    The name of a folder is compared with its slash, as it is part of the key.
    """
    entries = sorted(
        (f"{entry.name}/" if entry.is_dir() else entry.name, entry) for entry in _entries(folder)
    )
    for name, entry in entries:
        key = prefix + name
        if name.endswith("/"):
            if key > after or after.startswith(key):
                yield from _objects(entry, key, after)
        elif key > after:
            found = entry.stat()
            yield ListedObject(key, found.st_size, datetime.fromtimestamp(found.st_mtime, UTC))


def _unfinished(folder: Path) -> Iterator[UnfinishedPut]:
    for entry in _entries(folder):
        with suppress(FileNotFoundError):  # a PUT in progress may end meanwhile
            yield UnfinishedPut("", entry.name, datetime.fromtimestamp(entry.stat().st_mtime, UTC))


def _entries(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []
