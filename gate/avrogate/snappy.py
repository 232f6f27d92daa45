"""
Decompresses the raw format of snappy piece by piece.

Format: <https://github.com/google/snappy/blob/main/format_description.txt>. Numbers are
little-endian. The libraries only take and return whole blocks, and 16 MiB can become 64 MiB. Like
`walker`, one source has a compiled and an interpreted form; C types are in `snappy.pxd`.
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
    Words = Any
    Window = Any
    memcpy: Any = None  # the compiled form's alone
    # Words of the state.
    AT = 0  # position of the next byte in the window
    FLOOR = 1  # position of the first inflated byte in the window
    LEFT = 2  # bytes left of the open element
    OFFSET = 3  # distance of the copied bytes of the element; 0: a literal
    TOTAL = 4  # inflated bytes that are still to come
    FAULT = 5
    WORDS = 6
    # Faults.
    WRONG = 1
    FAR = 2  # a copy reaches further back than the window


def inflate(
    data: bytes, end: cython.longlong, window: cython.uchar[::1], state: cython.longlong[::1]
) -> int:
    """
    Inflate *data* up to *end* into *window*, continuing from *state*.

    Returns where it stopped reading: the window is full, the data ends or is cut off within a tag,
    or `state[FAULT]` is set.
    """
    data_: Bytes = data
    size: Word = len(window)
    at: Word
    if cython.compiled:  # pragma: no cover - as above
        with cython.nogil:
            at = _run(data_, end, cython.address(window[0]), size, cython.address(state[0]))
    else:
        at = _run(data_, end, window, size, state)
    return at


def _run(data: Bytes, end: Word, window: Window, size: Word, s: Words) -> Word:
    pos: Word = 0
    at: Word = s[AT]
    count: Word
    end = max(end, 0)  # memcpy would take a negative count as a huge one
    while True:
        if s[LEFT] > 0:
            count = min(s[LEFT], size - at)
            if s[OFFSET] == 0:
                count = min(count, end - pos)
                _literal(data, pos, end, window, at, size, count)
                pos += count
            else:
                _copy(window, at, size, s[OFFSET], count)
            at += count
            s[LEFT] -= count
            if s[LEFT] > 0:
                break
        if pos >= end or end - pos <= _operand(data[pos]):
            break
        pos = _element(data, pos, at, s)
        if s[FAULT] != 0:
            break
    s[AT] = at
    return pos


def _operand(tag: Word) -> Word:
    """Return the number of bytes of the operand after the tag."""
    if tag & 3 == 0:
        return max(0, (tag >> 2) - 59)
    return 4 if tag & 3 == 3 else tag & 3


def _element(data: Bytes, pos: Word, at: Word, s: Words) -> Word:
    """Open the element whose tag is at *pos*; return where its tag and operand end."""
    tag: Word = data[pos]
    operand: Word = _operand(tag)
    value: Word = 0
    index: Word
    for index in range(operand, 0, -1):
        value = value << 8 | data[pos + index]
    if tag & 3 == 0:
        s[LEFT] = (value if operand > 0 else tag >> 2) + 1
        s[OFFSET] = 0
    elif tag & 3 == 1:
        s[LEFT] = (tag >> 2 & 7) + 4
        s[OFFSET] = (tag >> 5) << 8 | value
    else:
        s[LEFT] = (tag >> 2) + 1
        s[OFFSET] = value
    if s[LEFT] > s[TOTAL] or (tag & 3 != 0 and s[OFFSET] == 0):
        s[FAULT] = WRONG
    elif s[OFFSET] > at - s[FLOOR]:
        s[FAULT] = FAR if s[FLOOR] == 0 else WRONG
    s[TOTAL] -= s[LEFT]
    return pos + 1 + operand


def _literal(
    data: Bytes, pos: Word, end: Word, window: Window, at: Word, size: Word, count: Word
) -> None:
    if not cython.compiled:
        window[at : at + count] = data[pos : pos + count]
    elif count <= 16 <= min(size - at, end - pos):  # pragma: no cover - compiled alone
        memcpy(
            cython.address(window[at]), cython.address(data[pos]), 16
        )  # one instruction; the rest is overwritten
    else:  # pragma: no cover - compiled alone
        memcpy(cython.address(window[at]), cython.address(data[pos]), count)


def _copy(window: Window, at: Word, size: Word, offset: Word, count: Word) -> None:
    """Copy within the window; if the ranges overlap, the copied bytes repeat."""
    index: Word
    if (
        cython.compiled and offset >= 16 and size - at >= count + 16
    ):  # pragma: no cover - compiled alone
        for index in range(at, at + count, 16):
            memcpy(cython.address(window[index]), cython.address(window[index - offset]), 16)
        return
    for index in range(at, at + count):
        window[index] = window[index - offset]
