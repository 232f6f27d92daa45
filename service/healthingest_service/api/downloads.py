"""The route that sends the file of an upload."""

import asyncio
import base64
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractContextManager, aclosing, suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from fastapi import APIRouter, Request, Response
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import note_upload
from healthingest_service.api.dependencies import ApiDeps, Caller
from healthingest_service.api.openapi import CONTENT_ROUTE, problem_answers
from healthingest_service.api.pace import Pace
from healthingest_service.api.problems import RangeNotSatisfiableError, RequestRefusedError
from healthingest_service.api.ranges import (
    ByteRange,
    NotModified,
    NotSatisfiable,
    PreconditionFailed,
    selection,
)
from healthingest_service.api.uploads import upload_id_of
from healthingest_service.uploads.errors import (
    BodyTooSlowError,
    ObjectLostError,
    UnavailableError,
)
from healthingest_service.uploads.model import Receipt, Upload, UploadId

MEDIA_TYPE: Final = "application/avro"
DOWNLOAD_ENDED_EARLY: Final = "download_ended_early"
_NO_STORE: Final = "private, no-store"
_UNSAFE: Final = re.compile(r"[^A-Za-z0-9._-]")
_FILE: Final = {
    "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
}
_CONDITIONS: Final = {
    "Range": "One range of bytes, such as `bytes=0-1023`; several ranges get the whole file.",
    "If-Range": "Entity tag: the range counts only if the file has it.",
    "If-Match": "Entity tags: refused with 412 unless the file has one of them.",
    "If-None-Match": "Entity tags: answered with 304 if the file has one of them.",
}


class DownloadOutcome(StrEnum):
    """How a download ended after its first byte; the values are labels of a metric."""

    COMPLETE = "complete"
    CLIENT_LEFT = "client-left"
    CLIENT_TOO_SLOW = "client-too-slow"
    STORE_FAILED = "store-failed"
    CONTENT_LOST = "content-lost"
    """The last chunk was withheld, because the bytes are not those that were uploaded."""


def routes() -> APIRouter:
    """Return the router of the download route."""
    router = APIRouter(tags=["uploads"])
    router.add_api_route(
        CONTENT_ROUTE,
        get_upload_content,
        methods=["GET"],
        operation_id="getUploadContent",
        response_class=Response,
        responses={
            **problem_answers(401, 403, 404, 412, 416, 429, 503),
            200: {"description": "The whole file", **_FILE},
            206: {"description": "The range of the file", **_FILE},
            304: {"description": "The client has the file"},
        },
        openapi_extra={
            "parameters": [
                {
                    "name": name,
                    "in": "header",
                    "required": False,
                    "description": text,
                    "schema": {"type": "string"},
                }
                for name, text in _CONDITIONS.items()
            ]
        },
    )
    return router


async def get_upload_content(
    request: Request, deps: ApiDeps, principal: Caller, upload_id: str
) -> Response:
    """Send the file of an upload, or a range of it, as it was uploaded."""
    upload = await deps.content.find_stored(principal, upload_id_of(upload_id))
    await note_upload(request, deps, upload)
    receipt = upload.receipt
    etag = f'"{receipt.file_hash}"'
    wanted = selection(
        _conditions(request),
        method=request.method,
        etag=etag,
        size_bytes=receipt.file_size_bytes,
    )
    if isinstance(wanted, PreconditionFailed):
        code = "precondition-failed"
        raise RequestRefusedError(code)
    if isinstance(wanted, NotSatisfiable):
        raise RangeNotSatisfiableError(receipt.file_size_bytes)
    if isinstance(wanted, NotModified):
        return Response(status_code=304, headers={"ETag": etag, "Cache-Control": _NO_STORE})
    part = wanted if isinstance(wanted, ByteRange) else None
    answering = Answering(
        upload_id=receipt.upload_id,
        status=200 if part is None else 206,
        headers=_headers(receipt, etag, part),
        size_bytes=receipt.file_size_bytes if part is None else part.size_bytes,
        is_head=request.method == "HEAD",
    )
    offset = 0 if part is None else part.offset
    return _response(
        deps, upload, answering, offset, deps.download_slots.taken(principal.account_id)
    )


def _response(
    deps: ApiDependencies,
    upload: Upload,
    answering: "Answering",
    offset: int,
    slot: AbstractContextManager[None],
) -> "ContentResponse":
    def ended(outcome: DownloadOutcome, sent_bytes: int) -> None:
        deps.metrics.downloads.labels(outcome).inc()
        deps.metrics.download_bytes.inc(sent_bytes)

    # For HEAD one byte is read, to see whether the object exists.
    size_bytes = 1 if answering.is_head else answering.size_bytes
    chunks = deps.content.read(upload, offset, size_bytes)
    return ContentResponse(answering, chunks, pace=deps.body.pace(), slot=slot, ended=ended)


def _conditions(request: Request) -> dict[str, str]:
    names = (name.lower() for name in _CONDITIONS)
    return {
        name: ", ".join(request.headers.getlist(name)) for name in names if name in request.headers
    }


def _headers(receipt: Receipt, etag: str, part: ByteRange | None) -> dict[str, str]:
    size_bytes = receipt.file_size_bytes if part is None else part.size_bytes
    digest = base64.b64encode(bytes.fromhex(receipt.file_hash)).decode()
    name = _UNSAFE.sub("_", f"{receipt.record_type}-{receipt.upload_id}.avro")
    headers = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(size_bytes),
        "Content-Disposition": f'attachment; filename="{name}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": _NO_STORE,
        "ETag": etag,
        "Repr-Digest": f"sha-256=:{digest}:",
    }
    if part is not None:
        headers["Content-Range"] = part.content_range(receipt.file_size_bytes)
    return headers


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """The head of the answer, and the number of bytes that follow it."""

    upload_id: UploadId
    status: int
    headers: dict[str, str]
    size_bytes: int
    is_head: bool


class ContentResponse(Response):
    """
    Streams a file with backpressure.

    The first chunk is read before the head is sent, so that a lost object or a failing store gets
    its problem document. A failure later, or a client that is slower than *pace* allows, ends the
    response before its declared length. The server then closes the connection.
    """

    def __init__(
        self,
        answering: Answering,
        chunks: AsyncGenerator[bytes, None],
        *,
        pace: Pace,
        slot: AbstractContextManager[None],
        ended: Callable[[DownloadOutcome, int], None],
    ) -> None:
        super().__init__(None, answering.status, answering.headers)
        self._answering = answering
        self._chunks = chunks
        self._pace = pace
        self._slot = slot
        self._ended = ended
        self._sent_bytes = 0
        self._log = structlog.get_logger("healthingest.api")

    @override
    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answering = self._answering
        async with aclosing(self._chunks):
            with self._slot:
                first = await anext(self._chunks)
                await send(
                    {
                        "type": "http.response.start",
                        "status": answering.status,
                        "headers": self.raw_headers,
                    }
                )
                if answering.is_head:
                    await send({"type": "http.response.body", "body": b""})
                    return
                outcome = await self._sent(first, receive, send)
        self._ended(outcome, self._sent_bytes)
        if outcome is not DownloadOutcome.COMPLETE:
            self._log.warning(
                DOWNLOAD_ENDED_EARLY,
                upload_id=str(answering.upload_id),
                outcome=outcome.value,
                sent_bytes=self._sent_bytes,
                size_bytes=answering.size_bytes,
            )

    async def _sent(self, first: bytes, receive: Receive, send: Send) -> DownloadOutcome:
        """Send all chunks; returns how it ended."""
        leaving = asyncio.create_task(_until_left(receive))
        try:
            return await self._all_sent(first, leaving, send)
        except BodyTooSlowError:
            return DownloadOutcome.CLIENT_TOO_SLOW
        except ObjectLostError:
            return DownloadOutcome.CONTENT_LOST
        except UnavailableError:
            return DownloadOutcome.STORE_FAILED
        finally:
            leaving.cancel()
            with suppress(asyncio.CancelledError):
                await leaving

    async def _all_sent(
        self, first: bytes, leaving: "asyncio.Task[None]", send: Send
    ) -> DownloadOutcome:
        chunk = first
        while not leaving.done():
            is_last = self._sent_bytes + len(chunk) == self._answering.size_bytes
            await self._send(chunk, send, is_last=is_last)
            if is_last:
                return DownloadOutcome.COMPLETE
            chunk = await anext(self._chunks)
        return DownloadOutcome.CLIENT_LEFT

    async def _send(self, chunk: bytes, send: Send, *, is_last: bool) -> None:
        """Send a chunk. The server waits here while the client does not read."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._pace.patience_seconds):
                await send({"type": "http.response.body", "body": chunk, "more_body": not is_last})
        except TimeoutError:
            raise BodyTooSlowError from None
        self._sent_bytes += len(chunk)
        self._pace.count(len(chunk), waited_seconds=time.monotonic() - began)


async def _until_left(receive: Receive) -> None:
    """Return when the client has closed the connection; a body of the request is discarded."""
    while (await receive())["type"] != "http.disconnect":
        pass
