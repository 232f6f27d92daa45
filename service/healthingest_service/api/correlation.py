"""The correlation id, which identifies one request in responses, logs and messages. Pure."""

import re
from typing import Final
from uuid import uuid4

HEADER: Final = "X-Correlation-ID"
_GIVEN: Final = re.compile(r"[A-Za-z0-9._\-]{8,64}")
_TRACEPARENT: Final = re.compile(
    r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}(?:-.*)?"
)
_NO_TRACE: Final = "0" * 32


def correlation_id(given: str | None, traceparent: str | None) -> str:
    """
    Return the client's id if valid, else the trace id of `traceparent`, else a new id.

    `traceparent` is a header of W3C Trace Context. The id appears in headers and logs, so an
    invalid one is replaced, not repeated.
    """
    if given is not None and _GIVEN.fullmatch(given):
        return given
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    if match is not None and match["trace"] != _NO_TRACE:
        return match["trace"]
    return uuid4().hex
