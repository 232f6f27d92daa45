"""Downloads the file of an upload: a cut goes on with the next byte, and the digest is compared."""

import errno
import os
import re
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Final

import httpx

from healthingest_client.digests import FileDigest
from healthingest_client.errors import (
    ArgumentsError,
    ClientError,
    ContentMismatchError,
    ProblemError,
)
from healthingest_client.file_upload import Advance
from healthingest_client.retries import Patience, may_repeat
from healthingest_client.session import Call, Session, path_of, unreachable

_NAME: Final = re.compile(r'filename="([A-Za-z0-9_-][A-Za-z0-9._-]*)"')
_ID: Final = re.compile(r"[A-Za-z0-9-]+")


@dataclass(slots=True)
class _Download:
    """A download on its way: the bytes are in `part`, and `digest` is that of these bytes."""

    upload_id: str
    part: Path
    advance: Advance | None
    digest: FileDigest
    size_bytes: int = 0
    name: str = ""

    def begin(self) -> None:
        """Count the bytes of an earlier download."""
        self.digest = FileDigest()
        self.size_bytes = self.digest.add_file(self.part) if self.part.exists() else 0
        self._show(self.size_bytes)

    def restart(self) -> None:
        """Remove all bytes."""
        self.part.unlink(missing_ok=True)
        self._show(-self.size_bytes)
        self.digest = FileDigest()
        self.size_bytes = 0

    def add(self, chunk: bytes) -> None:
        """Count the next bytes."""
        self.digest.add(chunk)
        self.size_bytes += len(chunk)
        self._show(len(chunk))

    def _show(self, number: int) -> None:
        if self.advance is not None:
            self.advance(number)


async def download(
    session: Session, upload_id: str, target: Path, advance: Advance | None = None
) -> Path:
    """
    Write the file of an upload to *target*; returns its path.

    If *target* is a folder, the server chooses the name. What was received stays in a hidden file
    beside it, and another download goes on there.

    Raises:
        NotLoggedInError, UnreachableError, ProblemError: as `Session`.
        ContentMismatchError: the bytes are not those that the server has; they are removed.
        OSError: *target* exists, or cannot be written.
    """
    running = _begun(upload_id, target, advance)
    await _receive(session, running)
    return _named(running, target)


def _begun(upload_id: str, target: Path, advance: Advance | None) -> _Download:
    if _ID.fullmatch(upload_id) is None:
        message = f"{upload_id!r} is no id of an upload"
        raise ArgumentsError(message)
    _require_free(target)
    folder = target if target.is_dir() else target.parent
    running = _Download(upload_id, folder / f".{upload_id}.part", advance, FileDigest())
    running.begin()
    return running


def _named(running: _Download, target: Path) -> Path:
    """Give the complete file its name."""
    final = target / running.name if target.is_dir() else target
    _require_free(final)
    return running.part.replace(final)


async def _receive(session: Session, running: _Download) -> None:
    patience = Patience(session.policy)
    while True:
        before = running.size_bytes
        try:
            await _receive_once(session, running)
        except ProblemError as error:
            if error.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and before:
                running.restart()  # nothing is missing, or too much came: a digest decides
                continue
            if not error.is_temporary:
                raise
            await session.wait(patience, error)
        except ClientError as error:
            if not may_repeat(error, is_repeatable=True):
                raise
            if running.size_bytes > before:
                patience.progressed()
            await session.wait(patience, error)
        else:
            return


async def _receive_once(session: Session, running: _Download) -> None:
    """Receive the rest of the file; raises `ContentMismatchError` if it is another one."""
    headers = {"Range": f"bytes={running.size_bytes}-"} if running.size_bytes else {}
    path = path_of("v1", "uploads", running.upload_id, "content")
    async with session.stream(Call(method="GET", path=path, headers=headers)) as answer:
        if answer.status_code != HTTPStatus.PARTIAL_CONTENT and running.size_bytes:
            running.restart()
        named = _NAME.search(answer.headers.get("Content-Disposition", ""))
        running.name = named[1] if named else f"{running.upload_id}.avro"
        await _write(session, running, answer)
        if answer.headers.get("Repr-Digest") != running.digest.field:
            running.restart()
            message = f"{running.upload_id}: other bytes than those of the upload; they are removed"
            raise ContentMismatchError(message)


async def _write(session: Session, running: _Download, answer: httpx.Response) -> None:
    """Add the body to the part; only its owner may read it, because it is health data."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    with os.fdopen(os.open(running.part, flags, 0o600), "ab") as file:
        try:
            async for chunk in answer.aiter_raw():
                file.write(chunk)
                running.add(chunk)
        except httpx.TransportError as error:
            raise unreachable(session.server, error) from error


def _require_free(path: Path) -> None:
    if path.exists() and not path.is_dir():
        text = "the file exists; remove it, or choose another name"
        raise FileExistsError(errno.EEXIST, text, str(path))
