"""The server's side of the validation of one file."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from typing_extensions import override

from avrogate import Code
from healthingest_contract.topology import is_record_type
from healthingest_service.adapters.avro_validation.frames import MAX_PAYLOAD_BYTES, PIECE, Kind
from healthingest_service.uploads import ports
from healthingest_service.uploads.errors import (
    FileRefusedError,
    GateUnavailableError,
    NotAvroError,
    UploadError,
)
from healthingest_service.uploads.findings import FindingCode, finding_of
from healthingest_service.uploads.model import Finding, ValidationResult

Send = Callable[[Kind, int, bytes], Awaitable[None]]
"""Sends a frame to the worker: kind, number of the file, payload."""

_MAX_UNANSWERED: Final = 4
"""Frames of one file that may wait in the worker, because other files wait for all of them."""


class FileValidation(ports.FileValidation):
    """The validation of one file in a worker."""

    def __init__(self, send: Send, number: int) -> None:
        self._send = send
        self._number = number
        self._outcome: asyncio.Future[ValidationResult] = asyncio.get_running_loop().create_future()
        # Retrieve the exception, because the outcome may never be awaited.
        self._outcome.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._unanswered = 0
        self._answered = asyncio.Event()

    @override
    async def feed(self, chunk: bytes) -> None:
        for begin in range(0, len(chunk), MAX_PAYLOAD_BYTES):
            if self._outcome.done():
                self._outcome.result()
            await self._send(Kind.FEED, self._number, chunk[begin : begin + MAX_PAYLOAD_BYTES])

    @override
    async def feed_file(self, path: Path, *, offset: int, size_bytes: int) -> None:
        end = offset + size_bytes
        for begin in range(offset, end, MAX_PAYLOAD_BYTES):
            while self._unanswered >= _MAX_UNANSWERED and not self._outcome.done():
                self._answered.clear()
                await self._answered.wait()
            if self._outcome.done():
                self._outcome.result()
            piece = PIECE.pack(begin, min(end - begin, MAX_PAYLOAD_BYTES)) + os.fsencode(path)
            await self._send(Kind.FEED_FILE, self._number, piece)

    @override
    async def finish(self) -> ValidationResult:
        await self._send(Kind.FINISH, self._number, b"")
        return await asyncio.shield(self._outcome)

    @property
    def is_settled(self) -> bool:
        """Whether the outcome is known, so that the worker has released the file."""
        return self._outcome.done()

    def count_sent(self) -> None:
        """Count a frame that was sent to the worker."""
        self._unanswered += 1

    def count_answered(self) -> None:
        """Count a frame that the worker has answered."""
        self._unanswered -= 1
        self._answered.set()

    def settle(self, outcome: ValidationResult | UploadError) -> None:
        """Set the outcome; a second call changes nothing."""
        if self._outcome.done():
            return
        self._answered.set()
        if isinstance(outcome, ValidationResult):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)


def outcome_of(kind: int, payload: bytes, *, alone: bool) -> ValidationResult | UploadError:
    """Return the outcome of a worker's last answer; *alone*: it validated no other file then."""
    if kind == Kind.ACCEPTED:
        result = ValidationResult(**json.loads(payload))
        if is_record_type(result.record_type):
            return result
        return FileRefusedError((finding_of(FindingCode.RECORD_TYPE_INVALID),))
    if kind == Kind.REFUSED:
        findings = tuple(Finding(**finding) for finding in json.loads(payload))
        is_avro = findings[0].code != Code.MAGIC_WRONG
        return FileRefusedError(findings) if is_avro else NotAvroError(findings)
    if kind == Kind.FAILED and alone:  # with other files, any of them may have used the memory
        return FileRefusedError((finding_of(FindingCode.TOO_MUCH_MEMORY),))
    return GateUnavailableError()
