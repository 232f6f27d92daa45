"""
Validates texts, UUIDs and decimals.

Like `walker`, one source has a compiled and an interpreted form; C types are in `values.pxd`.
Positions are in *data*; the caller guarantees that *data* reaches to `stop`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # for the compiler too, which takes this import wherever it stands
    import cython
else:
    from avrogate import interpreted as cython

if not cython.compiled:  # pragma: no branch - the compiled form is not measured
    Word = int
    Bytes = bytes
    memcpy: Any = None  # this and `_HIGH_BITS`: only in the compiled form
    _HIGH_BITS: Any = None


def is_text(data: Bytes, pos: Word, stop: Word) -> Word:
    """
    Whether the bytes are UTF-8 as RFC 3629 defines it.

    That is: shortest forms, no surrogates, nothing above U+10FFFF.
    """
    while pos < stop:
        if data[pos] < 0x80:
            pos = _ascii(data, pos, stop)
        else:
            pos = _character(data, pos, stop)
            if pos < 0:
                return 0
    return 1


def _ascii(data: Bytes, pos: Word, stop: Word) -> Word:
    """Return where the ASCII characters end."""
    if cython.compiled and stop - pos >= 8:  # pragma: no cover - compiled alone
        pos = _ascii_words(data, pos, stop)
    while pos < stop and data[pos] < 0x80:
        pos += 1
    return pos


def _ascii_words(data: Bytes, pos: Word, stop: Word) -> Word:  # pragma: no cover - compiled alone
    """
    As `_ascii`, for at least eight bytes: eight at a time, then the last eight once more.

    It may return a position up to seven bytes too early.
    """
    first: Word = 0
    second: Word = 0
    while stop - pos >= 8:
        memcpy(cython.address(first), cython.address(data[pos]), 8)
        if first & _HIGH_BITS:
            return pos
        pos += 8
    memcpy(cython.address(second), cython.address(data[stop - 8]), 8)
    return pos if second & _HIGH_BITS else stop


def _character(data: Bytes, pos: Word, stop: Word) -> Word:
    """Return where the character of several bytes ends, or -1 if it is invalid."""
    # complexity 12: one condition for each row of the table in RFC 3629, 4
    lead: Word = data[pos]
    low: Word = 0x80
    high: Word = 0xBF
    last: Word = pos + 1 + (lead >= 0xE0) + (lead >= 0xF0)
    if lead < 0xC2 or lead > 0xF4 or last >= stop:
        return -1
    if lead == 0xE0:
        low = 0xA0
    elif lead == 0xED:
        high = 0x9F
    elif lead == 0xF0:
        low = 0x90
    elif lead == 0xF4:
        high = 0x8F
    if data[pos + 1] < low or data[pos + 1] > high:
        return -1
    pos += 2
    while pos <= last:
        if data[pos] & 0xC0 != 0x80:
            return -1
        pos += 1
    return pos


def is_uuid(data: Bytes, pos: Word) -> Word:
    """Whether the 36 bytes are the text of a UUID (RFC 4122, 3): 8-4-4-4-12 hexadecimal digits."""
    index: Word
    byte: Word
    for index in range(36):
        byte = data[pos + index]
        if index in {8, 13, 18, 23}:
            if byte != 0x2D:
                return 0
        elif not (0x30 <= byte <= 0x39 or 0x61 <= (byte | 0x20) <= 0x66):
            return 0
    return 1


def is_decimal(data: Bytes, pos: Word, stop: Word, bounds: Bytes, bound: Word, size: Word) -> Word:
    """
    Whether the big-endian two's complement number is within its bounds.

    At *bound* of *bounds* are 10^precision - 1 and its negative, of *size* bytes each. The number
    may have leading bytes that it does not need.
    """
    negative: Word = data[pos] >> 7
    fill: Word = 0xFF if negative else 0
    byte: Word
    while stop - pos > size:
        if data[pos] != fill:
            return 0
        pos += 1
    if data[pos] >> 7 != negative:
        return 0
    if negative:
        bound += size
    while size > 0:
        byte = fill if size > stop - pos else data[pos]
        if byte != bounds[bound]:
            return (byte > bounds[bound]) == negative
        if size <= stop - pos:
            pos += 1
        bound += 1
        size -= 1
    return 1
