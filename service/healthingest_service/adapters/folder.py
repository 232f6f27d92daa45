"""The port `ObjectStore` with a folder, the embedded default."""

import asyncio
import errno
import hashlib
import io
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from typing_extensions import override

from healthingest_service.uploads.errors import (
    ObjectLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import NewObject, Sha256, StoredObject
from healthingest_service.uploads.ports import Heartbeat, ObjectStore, no_heartbeat

Answer = TypeVar("Answer")

_CHUNK_BYTES: Final = 1024 * 1024
_RANGE_CHUNK_BYTES: Final = 256 * 1024
_PIECE_BYTES: Final = 64 * _CHUNK_BYTES
"""Bytes that are read, copied and synced within one deadline."""
UNFINISHED: Final = ".unfinished"


class FolderStore(ObjectStore):
    """
    Objects as files below *root*, their keys as paths.

    `put` hard-links, copies or writes the file to a temporary name, syncs it, renames it, and syncs
    the folders. So after a power failure an object is either complete or absent. What is copied or
    written is verified by its hash. A linked file is the spool file itself, which was hashed when
    it was written. `head` hashes the bytes of the file, since it has no stored checksum. Metadata
    is not kept.
    """

    def __init__(self, root: Path, *, timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._timeout_seconds = timeout_seconds

    @override
    async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
        place = _place(self._root, new.key)
        unfinished = self._root / UNFINISHED / uuid4().hex
        await self._in_thread(_make_folder, unfinished.parent, self._root)
        try:
            # Not in a thread: if that were cancelled, the new file would not be removed.
            if isinstance(new.content, bytes):
                _make_empty(unfinished)
                await heartbeat()
                await self._in_thread(_write, unfinished, new.content, new.sha256)
            elif _is_linked(new.content, unfinished):
                await heartbeat()
                if await self._in_thread(_sync_file, unfinished) != new.size_bytes:
                    raise StoreRefusedError
            else:
                await self._copy(new, new.content, unfinished, heartbeat)
            await self._in_thread(_give_name, self._root, unfinished, place)
        finally:
            unfinished.unlink(missing_ok=True)

    async def _copy(self, new: NewObject, source: Path, target: Path, heartbeat: Heartbeat) -> None:
        copied = _Copied()
        await heartbeat()
        while await self._in_thread(_copy_piece, source, target, copied) == _PIECE_BYTES:
            await heartbeat()
        if (copied.size_bytes, copied.digest.hexdigest()) != (new.size_bytes, new.sha256):
            raise StoreRefusedError

    @override
    async def head(self, key: str) -> StoredObject | None:
        return await self._in_thread(lambda: _head(_place(self._root, key)))

    @override
    async def read(self, key: str) -> AsyncIterator[bytes]:
        try:  # not in a thread: if that were cancelled, the file would stay open
            file = _place(self._root, key).open("rb")
        except OSError as error:
            raise StoreRefusedError from error
        try:
            while chunk := await self._in_thread(file.read, _CHUNK_BYTES):
                yield chunk
        finally:
            file.close()

    @override
    async def remove(self, key: str) -> None:
        place = _place(self._root, key)
        if await self._in_thread(_remove, place):
            await self._in_thread(_sync_folder, place.parent)

    @override
    async def erase(self, key: str) -> int:
        found = await self.remains(key)
        await self.remove(key)
        return found

    @override
    async def remains(self, key: str) -> int:
        return int(await self._in_thread(_place(self._root, key).exists))

    @override
    async def read_range(
        self, key: str, *, offset: int, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        place = _place(self._root, key)
        try:  # not in a thread: if that were cancelled, the file would stay open
            file = place.open("rb")
        except (FileNotFoundError, NotADirectoryError) as error:
            raise ObjectLostError from error
        except OSError as error:
            raise StoreRefusedError from error
        try:
            if await self._in_thread(file.seek, 0, os.SEEK_END) < offset + size_bytes:
                raise ObjectLostError
            await self._in_thread(file.seek, offset)
            left = size_bytes
            while left:
                chunk = await self._in_thread(file.read, min(left, _RANGE_CHUNK_BYTES))
                if not chunk:  # the file was cut meanwhile
                    raise StoreUnavailableError
                left -= len(chunk)
                yield chunk
        finally:
            file.close()

    @override
    async def check(self) -> None:
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
    """
    Return the path of the object *key*.

    Raises:
        StoreRefusedError: the path would lie outside the folder of objects.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or parts[0] == UNFINISHED:
        raise StoreRefusedError
    return root.joinpath(*parts)


def _remove(place: Path) -> bool:
    """Remove a file; returns whether it was there."""
    try:
        place.unlink()
    except FileNotFoundError:
        return False
    return True


@dataclass(slots=True)
class _Copied:
    """Size and hash of the bytes that were copied so far."""

    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


def _is_linked(source: Path, target: Path) -> bool:
    """Hard-link *source* to *target*; if that fails, create an empty *target* and return False."""
    try:
        os.link(source, target)
    except OSError:  # another file system, or no support for hard links
        target.open("xb").close()
        return False
    return True


def _sync_file(path: Path) -> int:
    """Sync a file to the disk; returns its size in bytes."""
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _make_empty(target: Path) -> None:
    try:
        target.open("xb").close()
    except OSError as error:
        raise StoreRefusedError from error


def _write(target: Path, content: bytes, sha256: Sha256) -> None:
    """
    Write and sync an empty file.

    Raises:
        StoreRefusedError: *content* has another hash.
    """
    if hashlib.sha256(content).hexdigest() != sha256:
        raise StoreRefusedError
    with target.open("r+b") as writer:
        writer.write(content)
        writer.flush()
        os.fdatasync(writer.fileno())


def _copy_piece(source: Path, target: Path, copied: _Copied) -> int:
    """Copy and sync the next piece; returns its size in bytes."""
    with source.open("rb") as reader, target.open("ab") as writer:
        piece_bytes = sum(map(writer.write, _piece(reader, copied)))
        writer.flush()
        os.fdatasync(writer.fileno())
    return piece_bytes


def _piece(reader: io.BufferedReader, copied: _Copied) -> Iterator[bytes]:
    end = reader.seek(copied.size_bytes) + _PIECE_BYTES
    while copied.size_bytes < end and (chunk := reader.read(_CHUNK_BYTES)):
        copied.size_bytes += len(chunk)
        copied.digest.update(chunk)
        yield chunk


def _give_name(root: Path, unfinished: Path, place: Path) -> None:
    _make_folder(place.parent, root)
    unfinished.replace(place)
    try:
        _sync_folder(place.parent)
    except OSError as error:  # renamed, but the new name may be lost in a power failure
        raise StoreUnavailableError from error


def _make_folder(folder: Path, root: Path) -> None:
    """Create *folder* below *root*, and sync the parent of each created folder."""
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
    _make_folder(root / UNFINISHED, root)
    if not os.access(root / UNFINISHED, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not writable")
