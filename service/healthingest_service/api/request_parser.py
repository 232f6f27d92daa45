"""
The HTTP request parser: h11, with limits and stricter rules.

h11 checks framing, `Host` and the syntax of fields. This module refuses messages that h11 accepts
but that other servers may read differently (RFC 9110, RFC 9112). Such differences make request
smuggling possible.
"""

import re
from dataclasses import dataclass
from typing import Final

import h11
from h11._readers import ContentLengthReader

BAD_REQUEST: Final = "bad-request"
HEAD_TOO_LARGE: Final = "head-too-large"
URL_TOO_LONG: Final = "url-too-long"
_BLANK_LINE: Final = re.compile(rb"\n\r?\n")
_METHOD_AND_VERSION_BYTES: Final = 64
_ABSOLUTE_FORM: Final = re.compile(rb"https?://[^/?#]*", re.IGNORECASE)
_VERSIONS: Final = frozenset({b"1.0", b"1.1"})
_HEAD_TOO_LARGE_STATUS: Final = 431


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadLimits:
    """How large a request's head (request line and fields) and its trailers may be."""

    head_bytes: int
    header_fields: int
    url_bytes: int
    trailer_bytes: int


def size_refusal(received: bytes, limits: HeadLimits) -> str | None:
    """
    Return the problem code if the request head exceeds a limit, else None.

    Works on raw bytes, before a line is parsed. *received* may hold a part of the head, or more
    than the head.
    """
    request_line = received[: limits.url_bytes + _METHOD_AND_VERSION_BYTES + 1].partition(b"\n")[0]
    if len(request_line) > limits.url_bytes + _METHOD_AND_VERSION_BYTES:
        return URL_TOO_LONG
    end = _BLANK_LINE.search(received, 0, limits.head_bytes)
    if end is None:
        line_count = received.count(b"\n", 0, limits.head_bytes)
        is_too_large = len(received) >= limits.head_bytes or line_count > limits.header_fields + 1
    else:
        is_too_large = received.count(b"\n", 0, end.start()) > limits.header_fields
    return HEAD_TOO_LARGE if is_too_large else None


def framing_refusal(request: h11.Request, head: bytes) -> str | None:
    """Return the problem code if *head*, the raw bytes of *request*, is ambiguous, else None."""
    names = {name for name, _ in request.headers}
    has_coding = b"transfer-encoding" in names
    is_refused = (
        request.http_version not in _VERSIONS
        or not _has_plain_lines(head)
        or (has_coding and (b"content-length" in names or request.http_version == b"1.0"))
    )
    return BAD_REQUEST if is_refused else None


def _has_plain_lines(head: bytes) -> bool:
    """
    Return whether no line ends with a bare LF or CR, and none is folded.

    HTTP allows them, but servers read them differently. A regular expression took six times as
    long (decision 0111).
    """
    ends = head.count(b"\r\n")
    is_plain = head.count(b"\n") == ends == head.count(b"\r")
    return is_plain and b"\n " not in head and b"\n\t" not in head


class RequestParser(h11.Connection):
    """
    The parser of one server connection.

    For a refused request it raises `h11.RemoteProtocolError`, and `refusal` is the problem code of
    the response.
    """

    def __init__(self, limits: HeadLimits) -> None:
        super().__init__(h11.SERVER, limits.head_bytes)
        self.refusal: str | None = None
        self._limits = limits
        self._whole = b""

    @property
    def is_idle(self) -> bool:
        """Whether no request is in progress: none has arrived, or its head is incomplete."""
        return self.their_state is h11.IDLE

    @property
    def awaits_body(self) -> bool:
        """Whether the client may still be sending the body of a request."""
        return self.their_state is h11.SEND_BODY

    def receive_data(self, data: bytes) -> None:
        """
        Add received bytes, as h11 does.

        Bytes that belong to a body of known length as a whole do not pass h11's buffer, which would
        copy them twice.
        """
        whole = self._whole
        self._whole = b""
        if whole:
            super().receive_data(whole)
        if self._is_of_body(data):
            self._whole = data
        else:
            super().receive_data(data)

    def next_event(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        """Return the next event, as h11 does, within the limits of this service."""
        try:
            return self._next_head() if self.is_idle else self._next_of_body()
        except h11.RemoteProtocolError as error:
            if self.refusal is None:
                is_size = error.error_status_hint == _HEAD_TOO_LARGE_STATUS
                self.refusal = HEAD_TOO_LARGE if is_size else BAD_REQUEST
            raise

    # mypy: its three overloads in one
    def send(self, event: h11.Event) -> bytes | None:  # type: ignore[override]
        """
        Return the bytes of *event*, as h11 does.

        A response that begins before the request's body has arrived gets `Connection: close`.
        """
        if isinstance(event, h11.Response) and self.awaits_body:
            headers = [(name, value) for name, value in event.headers if name != b"connection"]
            event = h11.Response(
                status_code=event.status_code,
                headers=[*headers, (b"connection", b"close")],
                reason=event.reason,
            )
        return super().send(event)

    def _next_head(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        received, _ = self.trailing_data
        self._refuse_if(size_refusal(received, self._limits))
        event = super().next_event()
        if not isinstance(event, h11.Request):
            return event
        left, _ = self.trailing_data
        self._refuse_if(URL_TOO_LONG if len(event.target) > self._limits.url_bytes else None)
        self._refuse_if(framing_refusal(event, received[: len(received) - len(left)]))
        return _in_origin_form(event)

    def _is_of_body(self, data: bytes) -> bool:
        reader = self._reader
        if self._receive_buffer or not isinstance(reader, ContentLengthReader):
            return False
        # h11 has no public name for what is left of a body.
        return self.awaits_body and 0 < len(data) <= reader._remaining  # noqa: SLF001

    def _next_of_body(self) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        whole = self._whole
        self._whole = b""
        if whole and isinstance(self._reader, ContentLengthReader):
            self._reader._remaining -= len(whole)  # noqa: SLF001
            return h11.Data(data=whole)
        event = super().next_event()
        if isinstance(event, h11.EndOfMessage):
            size_bytes = sum(len(name) + len(value) for name, value in event.headers)
            self._refuse_if(HEAD_TOO_LARGE if size_bytes > self._limits.trailer_bytes else None)
        return event

    def _refuse_if(self, code: str | None) -> None:
        if code is not None:
            self.refusal = code
            raise h11.RemoteProtocolError(code)


def _in_origin_form(request: h11.Request) -> h11.Request:
    """Return the request with its target in origin form: a path, no URL (RFC 9112, 3.2)."""
    absolute = _ABSOLUTE_FORM.match(request.target)
    if absolute is None:
        return request
    rest = request.target[absolute.end() :]
    return h11.Request(
        method=request.method,
        target=rest if rest.startswith(b"/") else b"/" + rest,
        headers=list(request.headers),
        http_version=request.http_version,
    )
