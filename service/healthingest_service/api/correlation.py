"""The correlation id of a request in responses, logs and messages, and the trace of a client."""

import re
from typing import Final
from uuid import uuid4

HEADER: Final = "X-Correlation-ID"
_GIVEN: Final = re.compile(r"[A-Za-z0-9._\-]{8,64}")
_TRACEPARENT: Final = re.compile(
    r"[0-9a-f]{2}-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?:-.*)?"
)
_NO_TRACE: Final = "0" * 32
_NO_SPAN: Final = "0" * 16


def correlation_id(given: str | None, traceparent: str | None) -> str:
    """
    Return the client's id if valid, else the trace id of `traceparent`, else a new id.

    `traceparent` is a header of W3C Trace Context. The id appears in headers and logs, so an
    invalid one is replaced, not repeated.
    """
    return _chosen(given, traceparent) or uuid4().hex


def is_chosen(given: str | None, traceparent: str | None) -> bool:
    """Return whether the client has chosen the id that `correlation_id` returns."""
    return _chosen(given, traceparent) is not None


def _chosen(given: str | None, traceparent: str | None) -> str | None:
    if given is not None and _GIVEN.fullmatch(given):
        return given
    match = _TRACEPARENT.fullmatch(traceparent) if traceparent is not None else None
    return None if match is None or match["trace"] == _NO_TRACE else match["trace"]


def valid_traceparent(given: str | None) -> str | None:
    """Return a client's `traceparent` in version 00 of W3C Trace Context; None: it is invalid."""
    match = _TRACEPARENT.fullmatch(given) if given is not None else None
    if match is None or match["trace"] == _NO_TRACE or match["span"] == _NO_SPAN:
        return None
    return f"00-{match['trace']}-{match['span']}-{match['flags']}"
