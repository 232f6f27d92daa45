"""The port `ErasureLog` with a folder, beside the objects of a `FolderStore`."""

import asyncio
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from typing_extensions import override

from healthingest_contract.object_keys import ERASURES_PREFIX
from healthingest_service.erasure.documents import MAX_BYTES
from healthingest_service.erasure.ports import ErasureLog
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError

Answer = TypeVar("Answer")
_UNFINISHED: Final = ".unfinished"


class FolderErasureLog(ErasureLog):
    """Files below *root*, their names as paths."""

    def __init__(self, root: Path, *, timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._timeout_seconds = timeout_seconds

    @override
    async def put(self, name: str, content: bytes) -> None:
        await self._in_thread(lambda: _write(self._root, self._root / name, content))

    @override
    async def read(self, name: str) -> bytes:
        return await self._in_thread(lambda: _read(self._root / name))

    @override
    async def names(self, *, after: str, limit: int) -> Sequence[str]:
        found = await self._in_thread(lambda: _names(self._root))
        return [name for name in found if name > after][:limit]

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.to_thread(work)
        except TimeoutError as error:
            raise StoreUnavailableError from error
        except OSError as error:
            raise StoreRefusedError from error


def _write(root: Path, path: Path, content: bytes) -> None:
    """Write a file durably: synced before it has its name, and the folders afterwards."""
    draft = root / _UNFINISHED / uuid4().hex
    draft.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with draft.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    for folder in (path.parent, path.parent.parent, root):
        _sync(folder)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BYTES + 1)


def _names(root: Path) -> list[str]:
    found = (root / ERASURES_PREFIX).rglob("*.json")
    return sorted(path.relative_to(root).as_posix() for path in found)
