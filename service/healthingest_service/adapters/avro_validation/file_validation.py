"""One file under validation, as the server sees it."""

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

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
"""Puts a frame on its way to the worker: its kind, the file's number, the payload."""

_MOST_AHEAD: Final = 4
"""Pieces of one file that wait in a worker: other files wait for all of them."""


class FileValidation(ports.FileValidation):
    """One file under validation."""

    def __init__(self, send: Send, number: int) -> None:
        self._send = send
        self._number = number
        self._outcome: asyncio.Future[ValidationResult] = asyncio.get_running_loop().create_future()
        self._outcome.add_done_callback(
            lambda done: done.cancelled() or done.exception()
        )  # seen, though not awaited
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
            while self._unanswered >= _MOST_AHEAD and not self._outcome.done():
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
        """The worker has validated the file and dropped it."""
        return self._outcome.done()

    def ask(self) -> None:
        """One more frame is on its way."""
        self._unanswered += 1

    def hear(self) -> None:
        """The worker has answered one."""
        self._unanswered -= 1
        self._answered.set()

    def settle(self, outcome: ValidationResult | UploadError) -> None:
        """What the worker, or its end, says of the file; the first word counts."""
        if self._outcome.done():
            return
        self._answered.set()
        if isinstance(outcome, ValidationResult):
            self._outcome.set_result(outcome)
        else:
            self._outcome.set_exception(outcome)


def outcome_of(kind: int, payload: bytes, *, alone: bool) -> ValidationResult | UploadError:
    """What the worker's last answer about a file means; *alone*: it had no other at that time."""
    if kind == Kind.ACCEPTED:
        result = ValidationResult(**json.loads(payload))
        if is_record_type(result.record_type):
            return result
        return FileRefusedError((finding_of(FindingCode.RECORD_TYPE_INVALID),))
    if kind == Kind.REFUSED:
        told: list[dict[str, Any]] = json.loads(payload)
        found = tuple(Finding(**finding) for finding in told)
        return NotAvroError(found) if found[0].code == Code.MAGIC_WRONG else FileRefusedError(found)
    if kind == Kind.FAILED and alone:  # out of memory: this file's fault only if there was no other
        return FileRefusedError((finding_of(FindingCode.TOO_MUCH_MEMORY),))
    return GateUnavailableError()
