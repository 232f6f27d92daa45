"""
The walker: validates every value of every record, without building Python objects.

One source has two forms: compiled by Cython it runs without the GIL; interpreted it does the same
slowly. C types and constants are in `walker.pxd`; Python never evaluates the annotations.

A function that reads returns where the value ends, or the negated fault. A fault leaves the state
as it was before the value, so reading can continue with more bytes, or after an invalid value. No
function recurses or allocates.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for the compiler too, which takes this import wherever it stands
    import cython
else:
    from avrogate import interpreted as cython

if not cython.compiled:  # pragma: no branch - the compiled form is not measured
    from collections.abc import MutableSequence

    from avrogate.opcodes import *
    from avrogate.values import is_decimal, is_text, is_uuid

    Word = int
    Bytes = bytes
    Words = MutableSequence[int]

compiled: bool = cython.compiled


def walk(
    program: cython.longlong[::1],
    bounds: bytes,
    data: bytes,
    end: cython.longlong,
    state: cython.longlong[::1],
) -> int:
    """
    Validate *data* up to *end*, continuing from *state*.

    Returns 0 after the last record, else the fault that stopped it: CUT_OFF at the end of the
    piece. *program* and *state* are 64-bit words and not empty; *bounds* are the bounds of
    decimals.
    """
    fault: Word
    bounds_: Bytes = bounds
    data_: Bytes = data
    if cython.compiled:  # pragma: no cover - as above
        with cython.nogil:
            fault = _run(cython.address(program[0]), bounds_, data_, end, cython.address(state[0]))
    else:
        fault = _run(program, bounds_, data_, end, state)
    return fault


def _run(p: Words, bounds: Bytes, data: Bytes, end: Word, s: Words) -> Word:
    pos: Word = s[POS]
    pc: Word = s[PC]
    limit: Word = s[BLOCK_END] - s[BASE]
    steps: Word = s[STEPS_LEFT]
    while True:
        if p[pc] < FIRST_CONTROL:
            target = p[pc + 1]
            after = _value(p, pc, bounds, data, pos, end, limit)
        else:
            target, after = _control(p, pc, data, pos, end, s)
        steps -= 1
        if after < 0 or steps < 0:
            break
        pos = after
        pc = target
        if pc < 0:  # the last record has ended
            after = 0
            break
    s[POS] = pos
    s[PC] = pc
    s[STEPS_LEFT] = steps
    return -after if after <= 0 else STEPS


def _value(
    p: Words, pc: Word, bounds: Bytes, data: Bytes, pos: Word, end: Word, limit: Word
) -> Word:
    # complexity 12: one line for each opcode, the most frequent first
    op: Word = p[pc]
    if pos >= end:  # a value can end beyond the piece
        return -CUT_OFF
    if op == LONG:
        return _long(data, pos, end)
    if op == INT:
        return _ranged(data, pos, end, -0x80000000, 0x7FFFFFFF, BAD_INT)
    if op == STRING:
        return _string(data, pos, end, limit)
    if op == SKIP:
        return pos + p[pc + 2] if pos + p[pc + 2] <= limit else -CUT_OFF
    if op == RANGED:
        return _ranged(data, pos, end, p[pc + 2], p[pc + 3], p[pc + 4])
    if op == BOOLEAN:
        return pos + 1 if data[pos] <= 1 else -BAD_BOOLEAN
    if op == BYTES:
        return _bytes(data, pos, end, limit)
    if op == UUID:
        return _uuid(data, pos, end, limit)
    return _decimal(p, pc, bounds, data, pos, end, limit)


def _read(data: Bytes, pos: Word, end: Word) -> tuple[Word, Word]:
    """Return a long and where it ends."""
    if pos < end and data[pos] < 0x80:  # most have one byte
        byte = data[pos]
        return (byte >> 1) ^ -(byte & 1), pos + 1
    return _read_on(data, pos, end)


def _read_on(data: Bytes, pos: Word, end: Word) -> tuple[Word, Word]:
    """As `_read`, for any length: zig-zag, 7 bits in each byte, the lowest first."""
    value: cython.ulonglong = 0
    shift: Word = 0
    while True:
        if pos >= end:
            return 0, -CUT_OFF
        byte = data[pos]
        pos += 1
        if shift == 63 and byte > 1:
            return 0, -TOO_LONG
        if byte < 0x80:
            break
        value |= (byte & 0x7F) << shift
        shift += 7
    if byte == 0 and shift > 0:
        return 0, -OVERLONG
    value |= byte << shift
    signed = (value >> 1) ^ -(value & 1)
    return signed, pos


def _long(data: Bytes, pos: Word, end: Word) -> Word:
    """Return the end of a long whose value is not needed."""
    start: Word = pos
    while pos < end and data[pos] >= 0x80:
        pos += 1
    if pos >= end or pos - start >= 9 or (data[pos] == 0 and pos > start):
        _, pos = _read_on(data, start, end)  # finds the fault
        return pos
    return pos + 1


def _ranged(data: Bytes, pos: Word, end: Word, low: Word, high: Word, fault: Word) -> Word:
    value, pos = _read(data, pos, end)
    if pos > 0 and (value < low or value > high):
        return -fault
    return pos


def _length(data: Bytes, pos: Word, end: Word, limit: Word) -> tuple[Word, Word]:
    length, pos = _read(data, pos, end)
    if pos > 0 and length < 0:
        return 0, -NEGATIVE
    if pos > 0 and length > limit - pos:
        return 0, -BEYOND
    return length, pos


def _bytes(data: Bytes, pos: Word, end: Word, limit: Word) -> Word:
    length, pos = _length(data, pos, end, limit)
    return pos + length  # possibly beyond the piece: the content is not checked


def _string(data: Bytes, pos: Word, end: Word, limit: Word) -> Word:
    length, pos = _length(data, pos, end, limit)
    if pos < 0:
        return pos
    if length > end - pos:
        return -CUT_OFF
    return pos + length if is_text(data, pos, pos + length) else -BAD_TEXT


def _uuid(data: Bytes, pos: Word, end: Word, limit: Word) -> Word:
    length, pos = _length(data, pos, end, limit)
    if pos < 0:
        return pos
    if length != 36:
        return -BAD_UUID
    if length > end - pos:
        return -CUT_OFF
    return pos + length if is_uuid(data, pos) else -BAD_UUID


def _decimal(
    p: Words, pc: Word, bounds: Bytes, data: Bytes, pos: Word, end: Word, limit: Word
) -> Word:
    length: Word = p[pc + 4]
    if p[pc] == DECIMAL_BYTES:
        length, pos = _length(data, pos, end, limit)
        if pos < 0:
            return pos
        if (
            length == 0 or length > p[pc + 3] + 4096
        ):  # no writer pads so much, and the value is kept in memory
            return -NO_DIGITS if length == 0 else -TOO_MANY_DIGITS
    if length > end - pos:
        return -CUT_OFF
    return (
        pos + length
        if is_decimal(data, pos, pos + length, bounds, p[pc + 2], p[pc + 3])
        else -TOO_MANY_DIGITS
    )


def _control(p: Words, pc: Word, data: Bytes, pos: Word, end: Word, s: Words) -> tuple[Word, Word]:
    """Return the next instruction, and where to continue in the data."""
    op: Word = p[pc]
    if op == UNION:
        return _union(p, pc, data, pos, end)
    if op == END:
        s[RECORD] += 1
        return 0 if s[RECORD] < s[COUNT] else -1, pos
    if op == REPEAT:
        return _repeat(p, pc, data, pos, end, s)
    if op == NEXT:
        return _next(p, pc, data, pos, end, s)
    if op == CALL:
        return _call(p, pc, pos, s)
    s[SP] -= 4  # RETURN
    pc = s[s[SP]]
    s[DEPTH] -= p[pc + 3]
    return p[pc + 1], pos


def _union(p: Words, pc: Word, data: Bytes, pos: Word, end: Word) -> tuple[Word, Word]:
    """
    Return the branch's instruction, or the one behind a valid branch of a fixed size.

    Such a branch is passed by an addition: a jump that depends on the data is often mispredicted.
    """
    index, pos = _read(data, pos, end)
    if pos < 0:
        return pc, pos
    if index < 0 or index >= p[pc + 2]:
        return pc, -BAD_BRANCH
    branch: Word = pc + WORDS + index * BRANCH_WORDS
    size: Word = p[branch + 1]
    if size >= 0 and size < end - pos and data[pos] <= p[branch + 2]:
        return p[branch + 3], pos + size
    return p[branch], pos


def _call(p: Words, pc: Word, pos: Word, s: Words) -> tuple[Word, Word]:
    depth: Word = s[DEPTH] + p[pc + 3]
    frame: Word = s[SP]
    if depth + p[pc + 4] > s[MAX_DEPTH] or frame + 4 > s[STACK_END]:
        return pc, -TOO_DEEP
    s[DEPTH] = depth
    s[frame] = pc
    s[SP] = frame + 4
    return p[pc + 2], pos


def _repeat(p: Words, pc: Word, data: Bytes, pos: Word, end: Word, s: Words) -> tuple[Word, Word]:
    frame: Word = s[SP]
    if frame + 4 > s[STACK_END]:
        return pc, -TOO_DEEP
    if p[pc + 4] != 0:
        after = _plain_array(p, pc + WORDS, data, pos, end)
        if after > 0:
            return p[pc + 1], after
    pos = _items(p[pc + 3], data, pos, end, s, frame)
    if pos < 0:
        return pc, pos
    if s[frame + 1] == 0:
        return p[pc + 1], pos
    s[frame] = pc
    s[SP] = frame + 4
    return p[pc + 2], pos


def _next(p: Words, pc: Word, data: Bytes, pos: Word, end: Word, s: Words) -> tuple[Word, Word]:
    """
    Return where to continue after an item.

    A fault changes nothing, so the instruction is repeated when there are more bytes.
    """
    frame: Word = s[SP] - 4
    repeat: Word = s[frame]
    if s[frame + 1] > 1:
        s[frame + 1] -= 1
        if p[repeat + 4] != 0 and s[frame + 1] > 1:
            pos = _plain_items(p, p[repeat + 2], data, pos, end, s, frame)
        return p[repeat + 2], pos
    if s[frame + 2] >= 0 and s[frame + 2] != s[BASE] + pos:
        return pc, -BAD_SIZE
    pos = _items(p[repeat + 3], data, pos, end, s, frame)
    if pos < 0:
        return pc, pos
    if s[frame + 1] > 0:
        return p[repeat + 2], pos
    s[SP] = frame
    return p[repeat + 1], pos


def _plain_array(p: Words, pc: Word, data: Bytes, pos: Word, end: Word) -> Word:
    """
    Return the end of an array of plain values, or 0 if it must be read item by item.

    It must if it has several blocks, a fault or a size, or is not whole within the piece.
    """
    count, pos = _read(data, pos, end)
    if pos < 0 or count < 0 or count > end - pos:
        return 0
    if count == 0:
        return pos
    pos = _plain_values(p, pc, data, pos, end, count)
    return pos + 1 if 0 < pos < end and data[pos] == 0 else 0


def _plain_values(p: Words, pc: Word, data: Bytes, pos: Word, end: Word, count: Word) -> Word:
    """Return where *count* plain values end, at most *end*, or less than 1 after a fault."""
    if p[pc] == SKIP:
        return pos + count * p[pc + 2] if p[pc + 2] <= (end - pos) // count else end
    if p[pc] == LONG:
        while count > 0 and pos > 0:
            pos = _long(data, pos, end)
            count -= 1
    else:
        while count > 0 and pos > 0:
            pos = _ranged(data, pos, end, -0x80000000, 0x7FFFFFFF, BAD_INT)
            count -= 1
    return pos


def _plain_items(
    p: Words, pc: Word, data: Bytes, pos: Word, end: Word, s: Words, frame: Word
) -> Word:
    """Skip valid items of one plain value, except the last of the block; return the position."""
    if p[pc] == SKIP:
        after = pos + (s[frame + 1] - 1) * p[pc + 2]  # within the block, as `_items` has checked
        s[frame + 1] = 1
        return after
    while s[frame + 1] > 1:
        after = (
            _long(data, pos, end)
            if p[pc] == LONG
            else _ranged(data, pos, end, -0x80000000, 0x7FFFFFFF, BAD_INT)
        )
        if after < 0:  # the walker reads it again, and reports the fault
            break
        pos = after
        s[frame + 1] -= 1
    return pos


def _items(width: Word, data: Bytes, pos: Word, end: Word, s: Words, frame: Word) -> Word:
    """
    Read the head of a block of items into the frame; return where it ends.

    It is a count, or a negated count and the size in bytes, which must be right.
    """
    # complexity 11: one condition for each way in which a head can be wrong
    stop: Word = -1
    limit: Word = s[BLOCK_END] - s[BASE]
    count, pos = _read(data, pos, end)
    if pos > 0 and count < 0:
        size, pos = _read(data, pos, end)
        if pos > 0 and (size < 0 or size > limit - pos):
            return -BAD_SIZE
        stop = s[BASE] + pos + size
        count = -count if count >= pos - limit else limit  # the least long cannot be negated
    if pos < 0:
        return pos
    if count > 0 and (count > limit - pos or count * width > limit - pos):
        return -BAD_COUNT
    s[frame + 1] = count
    s[frame + 2] = stop
    return pos
