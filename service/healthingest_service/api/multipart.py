"""
Extracts the file from a streamed `multipart/form-data` body (RFC 7578).

The parser of the framework would write the whole body to disk first; this one keeps only the
current chunk. The form field is called `file`; the client's file name is ignored. The fields
`study` and `subject` come before the file, because they decide whether it is received.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from healthingest_service.api.problems import RequestRefusedError

FIELD: Final = b"file"
TEXT_FIELDS: Final = ("study", "subject")
_MAX_TEXT_BYTES: Final = 64
OVERHEAD_BYTES: Final = 64 * 1024
"""Limit of the bytes beside the file: boundaries, part headers and other fields."""
_MALFORMED: Final = "malformed-multipart"


def boundary_of(content_type: str) -> bytes:
    """
    Return the boundary parameter of the content type.

    Raises:
        RequestRefusedError: the parameter is missing or empty.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary:
        raise RequestRefusedError(_MALFORMED)
    return boundary


@dataclass(frozen=True, slots=True)
class OpenedForm:
    """The text fields before the file, and the bytes of the file."""

    fields: Mapping[str, str]
    file: AsyncIterator[bytes]


async def opened(body: AsyncIterator[bytes], boundary: bytes) -> OpenedForm:
    """
    Read *body* up to the part called `file`, and return the form.

    Raises:
        RequestRefusedError: the body is no form, has no or several parts `file`, more than
            `OVERHEAD_BYTES` beside it, or a text field twice, too long or after the file. Reading
            the file raises it, too.
    """
    form = _Form(boundary)
    first: list[bytes] = []
    async for chunk in body:
        first = form.feed(chunk)
        if form.has_file:
            break
    return OpenedForm(dict(form.fields), _rest(form, first, body))


async def _rest(
    form: "_Form", first: list[bytes], body: AsyncIterator[bytes]
) -> AsyncIterator[bytes]:
    for piece in first:
        yield piece
    async for chunk in body:
        for piece in form.feed(chunk):
            yield piece
    form.end()


async def file_of(body: AsyncIterator[bytes], boundary: bytes) -> AsyncIterator[bytes]:
    """
    Yield the bytes of the part called `file`.

    Raises:
        RequestRefusedError: as in `opened`.
    """
    form = await opened(body, boundary)
    async for piece in form.file:
        yield piece


class _Form:
    """The callbacks of the push parser, and the bytes of the file in the current chunk."""

    def __init__(self, boundary: bytes) -> None:
        self._pieces: list[bytes] = []
        self._header_name = bytearray()
        self._header_value = bytearray()
        self.fields: dict[str, str] = {}
        self._field: str | None = None
        self._text = bytearray()
        self._is_file = False
        self._file_count = 0
        self._overhead_bytes = 0
        self._ended = False
        self._delimiter = b"--" + boundary
        # Begins with a line break, because the first delimiter may be the first line of the body.
        self._preamble: bytes | None = b"\r\n"
        callbacks = {
            "on_part_begin": self._part_begin,
            "on_header_begin": self._header_begin,
            "on_header_field": lambda data, start, end: self._header_name.extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header_value.extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_finished,
            "on_part_data": self._part_data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }
        try:
            # mypy: a TypedDict upstream
            self._parser = MultipartParser(boundary, callbacks)  # type: ignore[arg-type]
        except FormParserError:
            raise RequestRefusedError(_MALFORMED) from None

    @property
    def has_file(self) -> bool:
        """Whether the part called `file` has begun."""
        return self._file_count > 0

    def feed(self, chunk: bytes) -> list[bytes]:
        self._pieces = []
        try:
            self._parser.write(chunk if self._preamble is None else self._after_preamble(chunk))
        except FormParserError:
            raise RequestRefusedError(_MALFORMED) from None
        self._overhead_bytes += len(chunk) - sum(map(len, self._pieces))
        if self._overhead_bytes > OVERHEAD_BYTES:
            raise RequestRefusedError(_MALFORMED)
        return self._pieces

    def _after_preamble(self, chunk: bytes) -> bytes:
        """Return *chunk* from the first delimiter on; the text before is ignored (RFC 2046)."""
        seen = (self._preamble or b"") + chunk
        at = seen.find(b"\r\n" + self._delimiter)
        if at < 0:
            self._preamble = seen[-len(self._delimiter) - 1 :]  # may end with a part of a delimiter
            return b""
        self._preamble = None
        return seen[at + 2 :]

    def end(self) -> None:
        if not self._ended or self._file_count != 1:
            raise RequestRefusedError(_MALFORMED)

    def _part_begin(self) -> None:
        self._is_file = False
        self._field = None
        self._text.clear()

    def _header_begin(self) -> None:
        self._header_name.clear()
        self._header_value.clear()

    def _header_end(self) -> None:
        if bytes(self._header_name).lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            name = options.get(b"name", b"")
            self._is_file = name == FIELD
            self._field = next((one for one in TEXT_FIELDS if name == one.encode()), None)

    def _headers_finished(self) -> None:
        self._file_count += self._is_file
        is_late_or_second = self._field is not None and (
            self.has_file or self._field in self.fields
        )
        if self._file_count > 1 or is_late_or_second:
            raise RequestRefusedError(_MALFORMED)

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._pieces.append(data[start:end])
        elif self._field is not None:
            self._text += data[start:end]
            if len(self._text) > _MAX_TEXT_BYTES:
                raise RequestRefusedError(_MALFORMED)

    def _part_end(self) -> None:
        if self._field is not None:
            self.fields[self._field] = self._text.decode("latin-1")

    def _end(self) -> None:
        self._ended = True
