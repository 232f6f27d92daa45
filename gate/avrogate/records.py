"""
Validates the records of a block piece by piece.

It turns the faults of the walker into findings with codes and field paths.
"""

import codecs
from array import array
from collections.abc import Iterator
from typing import Final

from avrogate import opcodes as op
from avrogate.place import MAX_PLACE_CHARACTERS
from avrogate.policy import Policy
from avrogate.program import Program
from avrogate.results import Code, Finding, RefusedError
from avrogate.varint import VarintError, read_long
from avrogate.walker import walk

_SHORT_TEXT_BYTES: Final = 1 << 16
"""A longer text that is cut off by its piece is checked in parts, without keeping it."""
_GATHERED: Final = frozenset({op.STRING, op.UUID, op.DECIMAL_BYTES})


class Findings:
    """The findings so far, at most *limit*."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.found: list[Finding] = []

    def add(self, finding: Finding, *, fatal: bool) -> None:
        """
        Add *finding*.

        Raises `RefusedError` with all findings if it is fatal, or the limit is reached.
        """
        self.found.append(finding)
        if fatal or len(self.found) >= self._limit:
            raise RefusedError(*self.found)


class Records:
    """Validates one block after the other."""

    def __init__(self, program: Program, policy: Policy, findings: Findings) -> None:
        self._program = program
        self._findings = findings
        frames = policy.max_datum_depth * (program.nesting + 1)
        self._state = array("q", bytes(8 * (op.STACK + 4 * frames)))
        self._state[op.MAX_DEPTH] = policy.max_datum_depth
        self._state[op.STEPS_LEFT] = self._granted = policy.max_steps
        self._steps_per_byte = policy.max_steps_per_byte
        self._state[op.STACK_END] = len(self._state)
        self._block = self._offset = 0
        self._exact = self._done = False
        self._at = self._taken = 0  # positions in the block: read, fed; the first can be ahead
        self._rest: list[bytes] = []  # fed, but not read yet
        self._wanted = 0  # bytes that `_rest` needs before reading can continue
        self._text: codecs.IncrementalDecoder | None = None

    @property
    def width(self) -> int:
        """The least size of a record in bytes."""
        return self._program.width

    @property
    def steps(self) -> int:
        """
        The steps that were spent.

        Negative while a slow codec inflates at its usual ratio.
        """
        return self._granted - self._state[op.STEPS_LEFT]

    def grant(self, size: int) -> None:
        """Add the steps that *size* more bytes of the file allow."""
        self._state[op.STEPS_LEFT] += size * self._steps_per_byte
        self._granted += size * self._steps_per_byte

    def charge(self, steps: int) -> int:
        """
        Subtract *steps* from the budget for work outside the walker.

        Returns the steps that are left.
        """
        self._state[op.STEPS_LEFT] -= steps
        return self._state[op.STEPS_LEFT]

    def refusal(self, finding: Finding) -> RefusedError:
        """Return a refusal with all findings so far, and *finding* as the last."""
        return RefusedError(*self._findings.found, finding)

    def begin(self, *, block: int, count: int, offset: int, size: int, exact: bool) -> None:
        """
        Begin a block of *count* records in *size* bytes, or in at most *size* if compressed.

        Findings have *offset*; if *exact*, the position within the block is added to it.
        """
        state = self._state
        state[op.PC] = state[op.RECORD] = 0
        state[op.COUNT] = count
        state[op.BLOCK_END] = size
        state[op.SP] = op.STACK
        state[op.DEPTH] = 1
        self._block = block
        self._offset = offset
        self._exact = exact
        self._at = self._taken = 0
        self._done = count == 0 or self._program.width == 0  # nothing to read

    def feed(self, data: bytes, start: int, stop: int) -> None:
        """Validate `data[start:stop]`, the next bytes of the block; raises `RefusedError`."""
        base = self._taken - start  # position of `data` in the block
        self._taken += stop - start
        if self._rest:
            self._rest.append(data[start:stop])
            if self._taken - self._at < self._wanted:
                return
            data = b"".join(self._rest)
            base = self._at
            stop = self._taken - self._at
            self._rest.clear()
        pos = self._at - base
        if self._text is not None:
            pos = self._read_text(data, pos, stop)
        if pos <= stop and not self._done and self._text is None:
            pos = self._walk(data, pos, stop, base)
        self._at = base + pos
        if self._done and self._at < self._taken:
            self._add(Code.DATA_LEFT_OVER, fatal=True)
        if pos < stop:
            self._rest.append(data[pos:stop])

    def finish(self) -> None:
        """
        End the block.

        Raises `RefusedError` unless its last record ends here.
        """
        if not self._done or self._at != self._taken:
            self._at = min(self._at, self._taken)
            self._add(Code.DATA_CUT_OFF, fatal=True)

    def _walk(self, data: bytes, pos: int, stop: int, base: int) -> int:
        """Read on; return where it stopped, before *stop* only if a value is cut off."""
        state = self._state
        words = self._program.words
        state[op.BASE] = base
        while True:
            state[op.POS] = pos
            fault = walk(words, self._program.bounds, data, stop, state)
            pos = state[op.POS]
            opcode = words[state[op.PC]]
            if fault == 0:
                self._done = True
                return pos
            if fault == op.CUT_OFF:
                return self._cut_off(data, pos, stop, opcode)
            self._at = base + pos
            after = (
                _behind(data, pos, stop, opcode, words[state[op.PC] + 4])
                if fault in op.VALUE_FAULTS
                else None
            )
            self._add(op.CODES[fault], fatal=after is None)
            pos = after or pos
            state[op.PC] = words[state[op.PC] + 1]

    def _cut_off(self, data: bytes, pos: int, stop: int, opcode: int) -> int:
        self._wanted = stop - pos + 1
        if opcode in _GATHERED and pos < stop and (head := read_long(data, pos, stop)):
            length, after = head
            self._wanted = after - pos + length
            if opcode == op.STRING and length > _SHORT_TEXT_BYTES:
                self._text = codecs.getincrementaldecoder("utf-8")()
                self._text_left = length
                return self._read_text(data, after, stop)
        return pos

    def _read_text(self, data: bytes, pos: int, stop: int) -> int:
        """
        Read the available part of a long text, and return where it ends.

        Python's decoder applies the same rules as the walker, and the text is not kept.
        """
        while self._text is not None and pos < stop:
            end = min(stop, pos + self._text_left, pos + _SHORT_TEXT_BYTES)
            self._text_left -= end - pos
            try:
                self._text.decode(data[pos:end], final=self._text_left == 0)
            except UnicodeDecodeError:
                self._at += pos
                self._add(Code.UTF8_INVALID, fatal=False)
                end = end + self._text_left
                self._text_left = 0
            pos = end
            if self._text_left == 0:
                self._text = None
                self._state[op.PC] = self._program.words[self._state[op.PC] + 1]
        return pos

    def _add(self, code: Code, *, fatal: bool) -> None:
        offset = self._offset + (self._at if self._exact else 0)
        path = ".".join(self._path())[:MAX_PLACE_CHARACTERS] or None
        self._findings.add(
            Finding(code, self._block, self._state[op.RECORD], offset, path), fatal=fatal
        )

    def _path(self) -> Iterator[str]:
        """Yield the fields that lead to the current instruction."""
        paths = self._program.paths
        words = self._program.words
        for frame in range(op.STACK, self._state[op.SP], 4):
            where = self._state[frame]
            if words[where] == op.CALL:
                yield from paths[where]
        yield from paths.get(self._state[op.PC], ())


def _behind(data: bytes, pos: int, stop: int, opcode: int, size: int) -> int | None:
    """Return where an invalid value ends, or None if that is unknown."""
    if opcode == op.BOOLEAN:
        return pos + 1
    if opcode == op.DECIMAL_FIXED:
        return pos + size
    try:
        head = read_long(data, pos, stop)
    except VarintError:
        return None
    if head is None:
        return None
    return head[1] + head[0] if opcode in _GATHERED else head[1]
