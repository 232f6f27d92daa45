"""The port `Spool` with the local disk."""

import asyncio
import errno
import fcntl
import hashlib
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from typing_extensions import override

from healthingest_service.uploads.errors import SpoolFullError, SpoolUnavailableError
from healthingest_service.uploads.model import Sha256
from healthingest_service.uploads.ports import SMALL_BODY_BYTES, Spool, SpoolFile

_NO_DESCRIPTOR: Final = frozenset({errno.EMFILE, errno.ENFILE})
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG}) | _NO_DESCRIPTOR
_BUFFER_BYTES: Final = 1024 * 1024
"""Bytes that are gathered before a thread writes them, because each switch of threads costs."""
_MAX_PIECES: Final = 512
"""Maximum number of chunks in one `writev`; Linux allows 1024."""
_SUFFIX: Final = ".body"
_NOT_LOCKED_YET: Final = ".new"
_OLD_SECONDS: Final = 3600


class DiskSpool(Spool):
    """
    Temporary files in *folder*, with at most *max_bytes* in all open bodies together.

    A body that ends within `SMALL_BODY_BYTES` stays in memory, and gets no file. `prepare`, or the
    first body, removes files of ended processes. Files of running processes are locked.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._is_prepared = False
        self._preparing = asyncio.Lock()
        self._checking: asyncio.Future[None] | None = None

    @property
    def free_bytes(self) -> int:
        """The number of bytes that may still be written."""
        return self._max_bytes - self._used_bytes

    @override
    @asynccontextmanager
    async def open(self) -> AsyncIterator["DiskSpoolFile"]:
        if self._used_bytes >= self._max_bytes:
            raise SpoolFullError
        await self.prepare()
        file = DiskSpoolFile(self, self._folder)
        try:
            yield file
        finally:
            file.remove()

    async def prepare(self) -> None:
        """
        Create the folder, and remove files of ended processes. Calling twice is safe.

        Raises:
            SpoolFullError: the disk is full.
            SpoolUnavailableError: the folder cannot be written.
        """
        async with self._preparing:
            if not self._is_prepared:
                await asyncio.to_thread(_prepare, self._folder)
                self._is_prepared = True

    async def check(self) -> None:
        """
        Check that a body could be written: write, sync and remove one byte.

        A disk that is full of bodies in progress is no failure.

        Raises:
            SpoolFullError: the disk is full, but not of bodies.
            SpoolUnavailableError: the folder cannot be written, or the last check still waits for
                the disk.
        """
        # If the disk hangs, checks must not occupy more than one thread.
        if self._checking is not None and not self._checking.done():
            raise SpoolUnavailableError
        await self.prepare()
        self._checking = asyncio.ensure_future(asyncio.to_thread(_write_a_byte, self._folder))
        try:
            await asyncio.shield(self._checking)
        except SpoolFullError as error:
            cause = error.__cause__
            if not self._used_bytes and not (
                isinstance(cause, OSError) and cause.errno in _NO_DESCRIPTOR
            ):
                raise

    def take(self, size_bytes: int) -> None:
        """
        Reserve *size_bytes*.

        Raises:
            SpoolFullError: the limit would be exceeded; nothing is reserved.
        """
        if self._used_bytes + size_bytes > self._max_bytes:
            raise SpoolFullError
        self._used_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """Release *size_bytes* that were reserved with `take`."""
        self._used_bytes -= size_bytes


class DiskSpoolFile(SpoolFile):
    """
    One body: in memory until it is larger than the buffer, then in a temporary file.

    It must not be used by two tasks at once.
    """

    def __init__(self, spool: DiskSpool, folder: Path) -> None:
        self._path = folder / f"{uuid4().hex}{_SUFFIX}"
        self._readable_bytes = 0
        self._spool = spool
        self._descriptor: int | None = None
        self._taken_bytes = 0
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._digest = hashlib.sha256()
        self._writing: asyncio.Future[int] | None = None

    @property
    @override
    def content(self) -> bytes | Path:
        return b"".join(self._pending) if self._is_small else self._path

    @override
    def on_disk(self) -> Path:
        if self._descriptor is None:
            self._write_here()
        return self._path

    @property
    @override
    def readable_bytes(self) -> int:
        return self._readable_bytes

    @override
    async def write(self, chunk: bytes) -> None:
        self._spool.take(len(chunk))
        self._taken_bytes += len(chunk)
        self._pending.append(chunk)
        self._pending_bytes += len(chunk)
        if self._pending_bytes >= _BUFFER_BYTES or len(self._pending) >= _MAX_PIECES:
            await self._written()
            self._write_pending()

    @override
    async def finish(self) -> Sha256:
        await self._written()
        if self._is_small:
            return Sha256(hashlib.sha256(b"".join(self._pending)).hexdigest())
        if 0 < self._pending_bytes <= SMALL_BODY_BYTES:
            self._write_here()
        elif self._pending:
            self._write_pending()
            await self._written()
        return Sha256(self._digest.hexdigest())

    @property
    def _is_small(self) -> bool:
        return self._descriptor is None and self._pending_bytes <= SMALL_BODY_BYTES

    def _opened(self) -> int:
        """Return the descriptor of the file, which is created first."""
        # Not in a thread: if that were cancelled, the file would stay.
        descriptor = _create(self._path) if self._descriptor is None else self._descriptor
        self._descriptor = descriptor
        return descriptor

    def _write_pending(self) -> None:
        """Hash and write the gathered chunks in a thread, while further chunks arrive."""
        pieces = self._pending
        self._pending = []
        self._pending_bytes = 0
        with _room():
            descriptor = os.dup(self._opened())
        work = asyncio.to_thread(_take, descriptor, pieces, self._digest)
        self._writing = asyncio.ensure_future(work)

    def _write_here(self) -> None:
        pieces = self._pending
        self._pending = []
        self._pending_bytes = 0
        with _room():
            self._readable_bytes += _take(os.dup(self._opened()), pieces, self._digest)

    async def _written(self) -> None:
        writing = self._writing
        self._writing = None
        if writing is None:
            return
        with _room():
            self._readable_bytes += await writing

    def remove(self) -> None:
        """Remove and close the file. A write in progress has its own file descriptor."""
        if self._writing is not None:  # retrieve its exception, since no task awaits it
            self._writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        descriptor = self._descriptor
        self._descriptor = None
        if descriptor is not None:
            self._unlink(descriptor)
        self._pending = []
        self._spool.give_back(self._taken_bytes)
        self._taken_bytes = 0

    def _unlink(self, descriptor: int) -> None:
        try:
            self._path.unlink(missing_ok=True)
        except OSError:  # the disk fails: free the space, and let the next start remove the name
            with suppress(OSError):
                os.ftruncate(descriptor, 0)
        finally:
            with suppress(OSError):  # close(2) releases the descriptor also on an error
                os.close(descriptor)


@contextmanager
def _room() -> Iterator[None]:
    """Translate OSError: a full disk into `SpoolFullError`, others into `SpoolUnavailableError`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise SpoolFullError from error
        raise SpoolUnavailableError from error


def _prepare(folder: Path) -> None:
    with _room():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left_over in folder.glob(f"*{_SUFFIX}"):
            _remove_unlocked(left_over)
        for left_over in folder.glob(f"*{_NOT_LOCKED_YET}"):
            _remove_old(left_over)


def _remove_unlocked(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    except BlockingIOError:
        pass
    finally:
        os.close(descriptor)


def _remove_old(path: Path) -> None:
    with suppress(FileNotFoundError):
        if time.time() - path.stat().st_mtime > _OLD_SECONDS:
            path.unlink()


def _create(path: Path) -> int:
    """
    Create and lock a file; returns its descriptor.

    The file gets its final name after it is locked. Otherwise another process could remove it as a
    file of an ended process.
    """
    unnamed = path.with_suffix(_NOT_LOCKED_YET)
    with _room():
        descriptor = _new_file(unnamed)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(path)
        except OSError:
            os.close(descriptor)
            raise
    return descriptor


def _new_file(path: Path) -> int:
    """Create and open a file; the folder is created again if it is missing."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o600)
    except FileNotFoundError:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(path, flags, 0o600)


def _write_a_byte(folder: Path) -> None:
    """Write, sync and remove one byte."""
    path = folder / f"{uuid4().hex}{_NOT_LOCKED_YET}"
    with _room():
        descriptor = _new_file(path)
        try:
            os.write(descriptor, b"0")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            path.unlink()


def _take(descriptor: int, pieces: list[bytes], digest: "hashlib._Hash") -> int:
    """Hash and append *pieces*, and close *descriptor*; returns the number of bytes."""
    size_bytes = sum(map(len, pieces))
    try:
        for piece in pieces:
            digest.update(piece)
        written = os.writev(descriptor, pieces)
        if written < size_bytes:  # the disk is nearly full: write the rest, or raise ENOSPC
            rest = memoryview(b"".join(pieces))[written:]
            while rest:
                rest = rest[os.write(descriptor, rest) :]
    finally:
        os.close(descriptor)
    return size_bytes
