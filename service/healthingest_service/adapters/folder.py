"""The port `ObjectStore` on a folder: the embedded default."""

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import Sha256, StoredObject

Answer = TypeVar("Answer")

_CHUNK_BYTES: Final = 1024 * 1024
_UNFINISHED: Final = ".unfinished"


class FolderStore:
    """
    Objects as files below *root*, their keys as paths.

    `put` writes beside the final place, syncs, renames, and syncs the folders: after a power cut the object is there
    whole or not at all. `head` reads the bytes and hashes them: slower than to trust a note, and true.
    """

    def __init__(self, root: Path, *, timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._timeout_seconds = timeout_seconds

    async def put(self, key: str, path: Path, *, size_bytes: int, sha256: str) -> None:
        """See `ObjectStore.put`."""
        await self._in_thread(lambda: _put(self._root, _place(self._root, key), path, size_bytes, sha256))

    async def head(self, key: str) -> StoredObject | None:
        """See `ObjectStore.head`."""
        return await self._in_thread(lambda: _head(_place(self._root, key)))

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`."""
        try:  # one system call; in a thread, a cancelled open would leave the file to nobody
            file = _place(self._root, key).open("rb")
        except OSError as error:
            raise StoreRefusedError from error
        try:
            while chunk := await self._in_thread(file.read, _CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        await self._in_thread(_check, self._root)

    async def _in_thread(self, work: Callable[..., Answer], *arguments: object) -> Answer:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await asyncio.to_thread(work, *arguments)
        except TimeoutError as error:
            raise StoreUnavailableError from error
        except OSError as error:
            raise StoreRefusedError from error


def _place(root: Path, key: str) -> Path:
    """Where *key* lies. Keys come from `ObjectKey` and are harmless; another one must not lead out of the folder."""
    parts = key.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or parts[0] == _UNFINISHED:
        raise StoreRefusedError
    return root.joinpath(*parts)


def _put(root: Path, place: Path, source: Path, size_bytes: int, sha256: str) -> None:
    unfinished = root / _UNFINISHED / uuid4().hex
    _make_folder(unfinished.parent, root)
    try:
        if _copy(source, unfinished) != (size_bytes, sha256):
            raise StoreRefusedError
        _make_folder(place.parent, root)
        unfinished.replace(place)
    finally:
        unfinished.unlink(missing_ok=True)
    try:
        _sync_folder(place.parent)
    except OSError as error:  # renamed, but perhaps not for good
        raise StoreUnavailableError from error


def _copy(source: Path, target: Path) -> tuple[int, str]:
    size_bytes, digest = 0, hashlib.sha256()
    with source.open("rb") as reader, target.open("xb") as writer:
        while chunk := reader.read(_CHUNK_BYTES):
            size_bytes += len(chunk)
            digest.update(chunk)
            writer.write(chunk)
        writer.flush()
        os.fsync(writer.fileno())
    return size_bytes, digest.hexdigest()


def _make_folder(folder: Path, root: Path) -> None:
    """Make *folder* below *root*, and sync the parent of every folder made: else its entry may be lost."""
    if folder.is_dir():
        return
    if folder != root:
        _make_folder(folder.parent, root)
        folder.mkdir(mode=0o700, exist_ok=True)
        _sync_folder(folder.parent)
    else:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _head(place: Path) -> StoredObject | None:
    try:
        with place.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
            return StoredObject(file.tell(), Sha256(digest.hexdigest()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _check(root: Path) -> None:
    _make_folder(root / _UNFINISHED, root)
    if not os.access(root / _UNFINISHED, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not writable")
