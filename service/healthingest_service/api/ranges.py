"""
Conditional requests and ranges of a file (RFC 9110, sections 13 and 14). Pure.

A file never changes, so its entity tag is strong, and it has no modification date.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_UNIT: Final = re.compile(r"bytes[ \t]*=", re.IGNORECASE)
_ONE_RANGE: Final = re.compile(r"[ \t]*([0-9]{0,19})-([0-9]{0,19})[ \t]*")
_TAGS: Final = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A part of a file, as offset and size."""

    offset: int
    size_bytes: int

    def content_range(self, total_bytes: int) -> str:
        """Return the value of `Content-Range` (RFC 9110, 14.4)."""
        return f"bytes {self.offset}-{self.offset + self.size_bytes - 1}/{total_bytes}"


@dataclass(frozen=True, slots=True)
class Whole:
    """Answer with the whole file."""


@dataclass(frozen=True, slots=True)
class NotModified:
    """Answer with 304: the client has the file."""


@dataclass(frozen=True, slots=True)
class PreconditionFailed:
    """Answer with 412: the client wants another file."""


@dataclass(frozen=True, slots=True)
class NotSatisfiable:
    """Answer with 416: the range lies outside the file."""


Selection = ByteRange | Whole | NotModified | PreconditionFailed | NotSatisfiable


def selection(headers: Mapping[str, str], *, method: str, etag: str, size_bytes: int) -> Selection:
    """
    Return what to answer to a `GET` or `HEAD` with *headers* (names in lower case).

    The order is that of RFC 9110, 13.2.2. `Range` counts for `GET` only. A range that is
    malformed, has another unit than bytes, or has several parts is ignored.
    """
    if not _matches(headers.get("if-match"), etag, weakly=False, absent=True):
        return PreconditionFailed()
    if _matches(headers.get("if-none-match"), etag, weakly=True, absent=False):
        return NotModified()
    wanted = headers.get("range")
    if wanted is None or method != "GET" or headers.get("if-range", etag).strip() != etag:
        return Whole()
    return _range(wanted, size_bytes)


def _matches(condition: str | None, etag: str, *, weakly: bool, absent: bool) -> bool:
    if condition is None:
        return absent
    if condition.strip() == "*":
        return True
    tags = _TAGS.findall(condition)
    return any(tag == etag and (weakly or not weak) for weak, tag in tags)


def _range(wanted: str, size_bytes: int) -> ByteRange | Whole | NotSatisfiable:
    unit = _UNIT.match(wanted)
    found = None if unit is None else _ONE_RANGE.fullmatch(wanted, unit.end())
    if found is None or found.groups() == ("", ""):
        return Whole()
    first, last = found.groups()
    if not first:  # the last bytes of the file
        suffix_bytes = min(int(last), size_bytes)
        return _part(size_bytes - suffix_bytes, size_bytes)
    if last and int(last) < int(first):
        return Whole()
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return _part(int(first), end)


def _part(offset: int, end: int) -> ByteRange | NotSatisfiable:
    return ByteRange(offset, end - offset) if offset < end else NotSatisfiable()
