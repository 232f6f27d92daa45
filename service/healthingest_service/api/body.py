"""Reading request bodies: streamed in chunks, with a minimum rate and a size limit."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import ClientDisconnect, Request

from healthingest_service.api.api_dependencies import BodyRules
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.uploads.errors import BodyIncompleteError, BodyTooSlowError

MAX_SMALL_BODY_BYTES: Final = 16 * 1024
"""Limit of a form or a JSON document; the longest password fits, also when it is escaped."""


def media_type(request: Request) -> str:
    """Return the content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def declared_size(request: Request) -> int | None:
    """Return `Content-Length`, or None if the header is missing or not a number."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


async def paced(request: Request, rules: BodyRules) -> AsyncIterator[bytes]:
    """
    Yield the chunks of the body.

    Only the time spent waiting for the client counts, not the time that the service needs.

    Raises:
        BodyTooSlowError: the client is slower than the minimum rate, or exceeds the deadline.
        BodyIncompleteError: the client disconnected.
    """
    stream = request.stream()
    pace = rules.pace()
    while True:
        began = time.monotonic()
        try:
            async with asyncio.timeout(pace.patience_seconds):
                chunk = await anext(stream)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise BodyTooSlowError from None
        except ClientDisconnect:
            raise BodyIncompleteError from None
        pace.count(len(chunk), waited_seconds=time.monotonic() - began)
        if chunk:
            yield chunk


def refuse_coding(request: Request) -> None:
    """
    Refuse a body with a content coding such as gzip.

    Its digest and its size would be those of the encoded bytes.

    Raises:
        RequestRefusedError: the body has a content coding other than `identity`.
    """
    codings = ",".join(request.headers.getlist("content-encoding")).split(",")
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings):
        code = "unsupported-content-coding"
        raise RequestRefusedError(code)


async def small_body(request: Request, rules: BodyRules) -> bytes:
    """
    Return the whole body of a form or a JSON document.

    Raises:
        RequestRefusedError: the body is too large, or has a content coding.
        BodyTooSlowError, BodyIncompleteError: the body did not arrive completely, as in `paced`.
    """
    refuse_coding(request)
    size = declared_size(request)
    if size is not None and size > MAX_SMALL_BODY_BYTES:
        code = "body-too-large"
        raise RequestRefusedError(code)
    body = bytearray()
    async for chunk in paced(request, rules):
        body += chunk
        if len(body) > MAX_SMALL_BODY_BYTES:
            code = "body-too-large"
            raise RequestRefusedError(code)
    return bytes(body)
