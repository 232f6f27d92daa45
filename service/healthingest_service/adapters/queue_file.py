"""The port `EventPublisher` with a file of JSON lines, the embedded default without a broker."""

import asyncio
import fcntl
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from healthingest_service.uploads.errors import BrokerUnreachableError
from healthingest_service.uploads.model import OutgoingMessage
from healthingest_service.uploads.relay_ports import EventPublisher

_POLL_SECONDS: Final = 0.2
_READ_BYTES: Final = 1024 * 1024
_TAIL_BYTES: Final = 4096


class QueueFile(EventPublisher):
    """
    Appends one line for each message: `id`, `routing_key`, `headers`, `body`.

    A line ends with a newline. A partial line of a crashed process was never confirmed, and is cut
    off before the next message is written. Several processes may append.
    """

    def __init__(self, path: Path, *, timeout_seconds: float = 10.0) -> None:
        self._path = path
        self._timeout_seconds = timeout_seconds

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        line = {
            "id": str(message.id),
            "routing_key": message.routing_key,
            "headers": dict(message.headers),
            "body": json.loads(message.body),
        }
        await self._append(json.dumps(line, separators=(",", ":")).encode() + b"\n")

    async def check(self) -> None:
        """
        Check that a message could be appended now.

        Raises:
            BrokerUnreachableError: no message could be appended.
        """
        await self._append(b"")

    async def _append(self, line: bytes) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await asyncio.to_thread(_append, self._path, line)
        except (TimeoutError, OSError) as error:
            raise BrokerUnreachableError from error


async def follow(path: Path, *, from_start: bool) -> AsyncIterator[dict[str, Any]]:
    """
    Yield each new message of the file at *path*, without end.

    With *from_start*, the messages that are in the file already come first.
    """
    position = 0 if from_start else await asyncio.to_thread(_complete_bytes, path)
    while True:
        lines = await asyncio.to_thread(_complete_lines, path, position)
        for line in lines:
            position += len(line)
            yield json.loads(line)
        if not lines:
            await asyncio.sleep(_POLL_SECONDS)


def _append(path: Path, line: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        end = _end_of_last_line(descriptor)
        os.ftruncate(descriptor, end)
        view = memoryview(line)
        at = end
        while view:
            written = os.pwrite(descriptor, view, at)
            view = view[written:]
            at = at + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _end_of_last_line(descriptor: int) -> int:
    """Return the offset after the last newline, searching backwards from the end."""
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _TAIL_BYTES)
        found = os.pread(descriptor, end - start, start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _complete_bytes(path: Path) -> int:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return _end_of_last_line(descriptor)
    finally:
        os.close(descriptor)


def _complete_lines(path: Path, position: int) -> list[bytes]:
    """Return complete lines from *position* on, about a megabyte; empty if there are none."""
    lines: list[bytes] = []
    try:
        with path.open("rb") as file:
            file.seek(position)
            while sum(map(len, lines)) < _READ_BYTES and (line := file.readline()).endswith(b"\n"):
                lines.append(line)
    except FileNotFoundError:
        pass
    return lines
