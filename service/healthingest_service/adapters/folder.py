"""The port `ObjectStore` on a folder: the embedded default."""

import asyncio
import errno
import hashlib
import io
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar
from uuid import uuid4

from typing_extensions import override

from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import Sha256, StoredObject
from healthingest_service.uploads.ports import Heartbeat, ObjectStore, no_heartbeat

Answer = TypeVar("Answer")

_CHUNK_BYTES: Final = 1024 * 1024
_PIECE_BYTES: Final = 64 * _CHUNK_BYTES
"""Read, copied and synced in one go, within one deadline."""
UNFINISHED: Final = ".unfinished"


class FolderStore(ObjectStore):
    """
    Objects as files below *root*, their keys as paths.

    `put` links (or copies) beside the final place, syncs, renames, and syncs the folders: after a
    power cut the object is there whole or not at all. A copy is verified; a linked file is the body
    itself, hashed as it was written, and to hash it again would find what the kernel keeps in
    memory, not what the disk has. `head` reads the bytes and hashes them: slower than to trust a
    note, and true.
    """

    def __init__(self, root: Path, *, timeout_seconds: float = 30.0) -> None:
        self._root = root
        self._timeout_seconds = timeout_seconds

    @override
    async def put(
        self,
        key: str,
        path: Path,
        *,
        size_bytes: int,
        sha256: str,
        heartbeat: Heartbeat = no_heartbeat,
    ) -> None:
        place = _place(self._root, key)
        unfinished = self._root / UNFINISHED / uuid4().hex
        await self._in_thread(_make_folder, unfinished.parent, self._root)
        try:
            # One system call; in a thread, a cancelled one would leave its file to nobody.
            if _is_linked(path, unfinished):
                await heartbeat()
                if await self._in_thread(_sync_file, unfinished) != size_bytes:
                    raise StoreRefusedError
            else:
                await self._copy(path, unfinished, _Wanted(size_bytes, sha256), heartbeat)
            await self._in_thread(_give_name, self._root, unfinished, place)
        finally:
            unfinished.unlink(missing_ok=True)

    async def _copy(
        self, source: Path, target: Path, wanted: "_Wanted", heartbeat: Heartbeat
    ) -> None:
        seen = _Seen()
        await heartbeat()
        while await self._in_thread(_copy_piece, source, target, seen) == _PIECE_BYTES:
            await heartbeat()
        if (seen.size_bytes, seen.digest.hexdigest()) != (wanted.size_bytes, wanted.sha256):
            raise StoreRefusedError

    @override
    async def head(self, key: str) -> StoredObject | None:
        return await self._in_thread(lambda: _head(_place(self._root, key)))

    @override
    async def read(self, key: str) -> AsyncIterator[bytes]:
        try:  # one system call; in a thread, a cancelled open would leave the file to nobody
            file = _place(self._root, key).open("rb")
        except OSError as error:
            raise StoreRefusedError from error
        try:
            while chunk := await self._in_thread(file.read, _CHUNK_BYTES):
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
    Where *key* lies.

    Keys come from `ObjectKey` and are harmless; another one must not lead out of the folder.
    """
    parts = key.split("/")
    if any(part in {"", ".", ".."} or "\0" in part for part in parts) or parts[0] == UNFINISHED:
        raise StoreRefusedError
    return root.joinpath(*parts)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the bytes must be."""

    size_bytes: int
    sha256: str


@dataclass(slots=True)
class _Seen:
    """The bytes that were read so far."""

    size_bytes: int = 0
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


def _is_linked(source: Path, target: Path) -> bool:
    """
    A second name for the file where that can be had: nobody writes to it any more.

    Else an empty file.
    """
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        target.open("xb").close()
        return False
    return True


def _sync_file(path: Path) -> int:
    """Wait until the file's bytes, and its length, are on the disk; how many they are."""
    with path.open("rb") as file:
        os.fdatasync(file.fileno())
        return os.fstat(file.fileno()).st_size


def _copy_piece(source: Path, target: Path, seen: _Seen) -> int:
    """Copy and sync the next piece."""
    with source.open("rb") as reader, target.open("ab") as writer:
        taken_bytes = sum(map(writer.write, _piece(reader, seen)))
        writer.flush()
        os.fdatasync(writer.fileno())
    return taken_bytes


def _piece(reader: io.BufferedReader, seen: _Seen) -> Iterator[bytes]:
    end = reader.seek(seen.size_bytes) + _PIECE_BYTES
    while seen.size_bytes < end and (chunk := reader.read(_CHUNK_BYTES)):
        seen.size_bytes += len(chunk)
        seen.digest.update(chunk)
        yield chunk


def _give_name(root: Path, unfinished: Path, place: Path) -> None:
    _make_folder(place.parent, root)
    unfinished.replace(place)
    try:
        _sync_folder(place.parent)
    except OSError as error:  # renamed, but perhaps not for good
        raise StoreUnavailableError from error


def _make_folder(folder: Path, root: Path) -> None:
    """
    Make *folder* below *root*, and sync the parent of every folder made.

    Else its entry may be lost.
    """
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
