"""
Sends one file: a small one in one request, a large one by tus 1.0.

By tus the server keeps what has arrived, so a request that is cut goes on at its offset
(https://tus.io/protocols/resumable-upload).
"""

import base64
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import BinaryIO, Final
from uuid import uuid4

from anyio import to_thread

from healthingest_client.digests import digest_of
from healthingest_client.documents import Receipt
from healthingest_client.errors import (
    ClientError,
    FileChangedError,
    ProblemError,
    UnreachableError,
)
from healthingest_client.retries import Patience, may_repeat
from healthingest_client.session import Call, Session

RESUMABLE_FROM_BYTES: Final = 256 * 1024
"""Files of this size and more are resumable: one request more, but no byte is sent twice."""
_AVRO: Final = "application/avro"
_FILES: Final = "/v1/files"
_CHUNK_BYTES: Final = 64 * 1024
_TUS: Final = {"Tus-Resumable": "1.0.0"}
_UPLOAD_ID: Final = "Healthingest-Upload-Id"
_FILE_REFUSED: Final = "https://healthingest.dev/problems/file-refused"
_ASK_FOR_OFFSET: Final = frozenset({"upload-offset-mismatch", "upload-replaced"})
_IN_FLIGHT: Final = "upload-in-flight"
_OVER: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})

Advance = Callable[[int], None]
"""Is called with the number of bytes that were sent; less than 0: they are sent again."""


@dataclass(frozen=True, slots=True)
class About:
    """The study and the subject of files; None: the study `default`, or those of the token."""

    study: str | None = None
    subject: str | None = None

    @property
    def pairs(self) -> Mapping[str, str]:
        """The values that are given, by name."""
        both = {"study": self.study, "subject": self.subject}
        return {name: value for name, value in both.items() if value is not None}


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file, and its state when it was found."""

    path: Path
    size_bytes: int
    changed_ns: int

    @classmethod
    def at(cls, path: Path) -> "LocalFile":
        """Return the file at *path*; raises `OSError`."""
        found = path.stat()
        return cls(path, found.st_size, found.st_mtime_ns)

    def require_unchanged(self) -> None:
        """
        Refuse a file that has another state now.

        Raises:
            FileChangedError: it has.
        """
        if LocalFile.at(self.path) != self:
            raise changed(self.path)


@dataclass(slots=True)
class Sending:
    """
    One file on its way.

    `location` is where a resumable upload of it is continued. `begun` is called with the location
    of a new one, so that another process can continue. `sent_bytes` counts bytes of the file, also
    those that are sent again.
    """

    file: LocalFile
    about: About = field(default_factory=About)
    idempotency_key: str = field(default_factory=lambda: str(uuid4()))
    location: str | None = None
    begun: Callable[[str], None] | None = None
    advance: Advance | None = None
    sent_bytes: int = 0
    _offset: int = field(default=0, init=False)

    def count(self, number: int) -> None:
        """Count bytes that are sent."""
        self.sent_bytes += number
        self.go_to(self._offset + number)

    def go_to(self, offset: int) -> None:
        """Show that so many bytes of the file are sent."""
        if self.advance is not None:
            self.advance(offset - self._offset)
        self._offset = offset


async def send(session: Session, sending: Sending, *, resumable_from_bytes: int) -> Receipt:
    """
    Upload a file, and return its receipt; that of a resumable one has no optional members.

    Raises:
        NotLoggedInError, UnreachableError, ProblemError: as `Session`.
        FileChangedError: the file changed meanwhile.
        OSError: the file cannot be read.
    """
    digest = await to_thread.run_sync(digest_of, sending.file.path)
    if sending.file.size_bytes < resumable_from_bytes:
        return await _send_whole(session, sending, digest.field)
    upload_id = await _send_resumable(session, sending)
    sending.file.require_unchanged()
    return {
        "status": "accepted",
        "upload_id": upload_id,
        "file_size_bytes": sending.file.size_bytes,
        "file_hash": digest.hexadecimal,
    }


def changed(path: Path) -> FileChangedError:
    """Return the error of a file that changed while it was uploaded."""
    return FileChangedError(f"{path}: the file changed while it was uploaded; upload it again")


async def _send_whole(session: Session, sending: Sending, content_digest: str) -> Receipt:
    """Send the file in one request, with a digest; a repetition has the same idempotency key."""
    headers = {
        "Content-Type": _AVRO,
        "Content-Digest": content_digest,
        "Idempotency-Key": sending.idempotency_key,
        **{f"Healthingest-{name.title()}": text for name, text in sending.about.pairs.items()},
    }
    with sending.file.path.open("rb") as file:
        whole = range(sending.file.size_bytes)
        call = _call("POST", "/v1/upload", headers, sending, file, whole)
        receipt: Receipt = await session.document(call)
    return receipt


async def _send_resumable(session: Session, sending: Sending) -> str:
    """Send the file, or the rest of it; returns the id of the upload."""
    if sending.location is not None:
        try:
            return await _continue(session, sending, sending.location)
        except ProblemError as error:
            if error.status not in _OVER:
                raise
        sending.go_to(0)  # it has expired
    location = await _create(session, sending)
    if sending.begun is not None:
        sending.begun(location)
    return await _continue(session, sending, location, is_new=True)


async def _create(session: Session, sending: Sending) -> str:
    """Begin a resumable upload; returns its location."""
    metadata = ",".join(
        f"{name} {base64.b64encode(text.encode()).decode()}"
        for name, text in sending.about.pairs.items()
    )
    headers = {**_TUS, "Upload-Length": str(sending.file.size_bytes)}
    if metadata:
        headers["Upload-Metadata"] = metadata
    answer = await session.send(Call(method="POST", path=_FILES, headers=headers))
    # Only the id is used: a token never goes to an address that an answer names.
    return f"{_FILES}/{answer.headers.get('Location', '').rpartition('/')[2]}"


async def _continue(
    session: Session, sending: Sending, location: str, *, is_new: bool = False
) -> str:
    """
    Send all bytes that the server does not have; returns the id of the upload.

    While another upload of the same bytes is in flight, which may belong to a process that was
    killed, the last byte is sent alone: the server has the others, and only it is sent again.
    """
    offset, upload_id = (0, None) if is_new else await _state(session, location)
    patience = Patience(session.policy)
    last = sending.file.size_bytes - 1
    is_last_alone = False
    with sending.file.path.open("rb") as file:
        while upload_id is None:
            end = last if is_last_alone and offset < last else sending.file.size_bytes
            try:
                upload_id = await _append(session, sending, file, location, range(offset, end))
                offset = end
            except ClientError as error:
                if not _is_passing(error):
                    raise
                is_last_alone |= isinstance(error, ProblemError) and error.code == _IN_FLIGHT
                await session.wait(patience, error)
                before = offset
                offset, upload_id = await _state(session, location)
                if offset > before:
                    patience.progressed()
    sending.go_to(sending.file.size_bytes)
    return upload_id


async def _append(
    session: Session, sending: Sending, file: BinaryIO, location: str, part: range
) -> str | None:
    """
    Send the bytes of *part*, once; returns the id of the upload if they are the last.

    Raises:
        ClientError: the request failed; some of the bytes may have arrived.
    """
    headers = {
        **_TUS,
        "Content-Type": "application/offset+octet-stream",
        "Upload-Offset": str(part.start),
    }
    answer = await session.attempt(_call("PATCH", location, headers, sending, file, part))
    upload_id: str | None = answer.headers.get(_UPLOAD_ID)
    if upload_id is None and part.stop == sending.file.size_bytes:
        message = f"{session.server} did not name the upload"
        raise UnreachableError(message)
    return upload_id


async def _state(session: Session, location: str) -> tuple[int, str | None]:
    """Return how many bytes the server has, and the id of the upload if it has all."""
    try:
        answer = await session.send(Call(method="HEAD", path=location, headers=_TUS))
    except ProblemError as error:
        if error.status == HTTPStatus.UNPROCESSABLE_ENTITY:
            raise await _refusal(session, location) from error
        raise
    return int(answer.headers.get("Upload-Offset", "0")), answer.headers.get(_UPLOAD_ID)


async def _refusal(session: Session, location: str) -> ProblemError:
    """Return why a file was refused: its own answer was lost, and that to `HEAD` has no body."""
    found = await session.document(Call(method="GET", path=location))
    problem = {
        "type": _FILE_REFUSED,
        "detail": "The file is not valid.",
        "findings": found.get("findings"),
    }
    return ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, problem)


def _call(  # noqa: PLR0913, PLR0917 - the parts of a request
    method: str,
    path: str,
    headers: Mapping[str, str],
    sending: Sending,
    file: BinaryIO,
    part: range,
) -> Call:
    """Return the request that sends the bytes of *file* in *part*."""

    def body() -> AsyncIterator[bytes]:
        file.seek(part.start)
        sending.go_to(part.start)
        return _Chunks(file, sending, len(part))

    return Call(
        method=method,
        path=path,
        headers={**headers, "Content-Length": str(len(part))},
        body=body,
    )


class _Chunks(AsyncIterator[bytes]):
    """
    The next bytes of a file.

    Not a generator: one that is left in the middle, as by a cut, would be closed at any time later.
    """

    def __init__(self, file: BinaryIO, sending: Sending, size_bytes: int) -> None:
        self._file = file
        self._sending = sending
        self._left = size_bytes

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        chunk = await to_thread.run_sync(self._file.read, min(_CHUNK_BYTES, self._left))
        if not chunk:
            raise changed(self._sending.file.path)
        self._left -= len(chunk)
        self._sending.count(len(chunk))
        return chunk


def _is_passing(error: ClientError) -> bool:
    if isinstance(error, ProblemError) and error.code in _ASK_FOR_OFFSET:
        return True
    return may_repeat(error, is_repeatable=True)
