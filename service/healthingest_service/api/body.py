"""Bodies as they come: in chunks, with patience that ends."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from starlette.requests import ClientDisconnect, Request

from healthingest_service.api.api_dependencies import BodyRules
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.uploads.errors import BodyIncompleteError, BodyTooSlowError

MAX_SMALL_BODY_BYTES: Final = 16 * 1024
"""Of a form or a JSON document; the longest password in UTF-8, escaped, fits."""


def media_type(request: Request) -> str:
    """The content type without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def declared_size(request: Request) -> int | None:
    """`Content-Length`, or None when the client announced none."""
    text = request.headers.get("content-length", "")
    return int(text) if text.isascii() and text.isdigit() else None


async def paced(request: Request, rules: BodyRules) -> AsyncIterator[bytes]:
    """
    The body's chunks.

    Only the time spent waiting for the client counts: that we are slow is not its fault.

    Raises:
        BodyTooSlowError: too little came in the last seconds, or the whole takes too long.
        BodyIncompleteError: the client has gone.
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
        pace.came(len(chunk), waited_seconds=time.monotonic() - began)
        if chunk:
            yield chunk


def refuse_coding(request: Request) -> None:
    """
    Let a body pass only as it is.

    Raises:
        RequestRefusedError: it has a content coding, which its digest, its size and its limit would
            not be of.
    """
    codings = ",".join(request.headers.getlist("content-encoding")).split(",")
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings):
        code = "unsupported-content-coding"
        raise RequestRefusedError(code)


async def small_body(request: Request, rules: BodyRules) -> bytes:
    """
    The whole body of a form or a JSON document.

    Raises:
        RequestRefusedError: it is too large, or coded.
        BodyTooSlowError, BodyIncompleteError: it did not come.
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
