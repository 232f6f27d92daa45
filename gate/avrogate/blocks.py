"""Reads the blocks of an object container file: head (count and size), content, sync marker."""

from collections.abc import Callable
from typing import Final

from avrogate.codecs import InflateError, Inflater
from avrogate.header import SYNC_BYTES, Header
from avrogate.policy import Policy
from avrogate.records import Records
from avrogate.results import Code, Finding, RefusedError, Work
from avrogate.varint import VarintError, read_long

_FEED_BYTES: Final = 1 << 16
"""Compressed bytes passed to a library at once: some libraries copy the unused rest each time."""

_USUAL_RATIO: Final = 5
"""Inflating to this many times the compressed size costs no steps."""

_STEPS_PER_STREAM: Final = 3_000
"""
The cost of opening a compressed stream, in steps of the walker.

The first stream of a block is free, because the number of blocks is limited.
"""


class Blocks:
    """Reads everything after the header, chunk by chunk, and validates the records."""

    def __init__(
        self,
        header: Header,
        records: Records,
        open_inflater: Callable[[], Inflater] | None,
        policy: Policy,
    ) -> None:
        self.block_count = 0
        self.record_count = 0
        self._sync = header.sync
        self._records = records
        self._open_inflater = open_inflater
        self._policy = policy
        self._inflater: Inflater | None = None  # of the open block
        self._offset = header.size  # in the file, up to which it was read
        self._rest = b""  # bytes of an incomplete head or marker
        self._is_open = False  # the head of a block was read, its marker was not
        self._count = 0  # records of the open block; some writers write blocks without records
        self._left = 0  # bytes of the open block that were not read yet
        self._inflated = 0  # bytes of the open block so far
        self._inflated_before = 0
        self._fed = header.size
        self._most_inflated = policy.max_inflated_bytes  # grows with each byte of the file

    def feed(self, chunk: bytes) -> None:
        """Read the next bytes; raises `RefusedError`."""
        self._records.grant(len(chunk))
        self._fed += len(chunk)
        self._most_inflated += len(chunk) * self._policy.max_inflated_per_byte
        data = self._rest + chunk if self._rest else chunk
        pos = 0
        stop = len(data)
        while True:
            if self._is_open and self._left:
                after = self._content(data, pos, stop)
            elif self._is_open:
                after = self._marker(data, pos, stop)
            else:
                after = self._head(data, pos, stop)
            if after == pos:
                break
            self._offset += after - pos
            pos = after
        self._rest = data[pos:]

    def finish(self) -> None:
        """
        Check the end of the file.

        Raises `RefusedError` if it is within a block.
        """
        if self._is_open or self._rest:
            raise self._refusal(Code.BLOCK_CUT_OFF)

    def work(self) -> Work:
        """Return what validation has cost so far."""
        inflated = self._inflated_before + (self._inflated if self._is_open else 0)
        return Work(self._fed, inflated, self.block_count, self._records.steps)

    def _head(self, data: bytes, pos: int, stop: int) -> int:
        """Read count and size; return where they end, or *pos* while they are incomplete."""
        try:
            count = read_long(data, pos, stop)
            size = read_long(data, count[1], stop) if count else None
        except VarintError as error:
            raise self._refusal(error.code) from None
        if count is not None:
            self._check_count(count[0])  # before more bytes are read
        if count is None or size is None:
            return pos
        self._begin(count[0], size[0], self._offset + size[1] - pos)
        return size[1]

    def _check_count(self, count: int) -> None:
        if count < 0:
            raise self._refusal(Code.BLOCK_COUNT_WRONG)
        if self.block_count == self._policy.max_blocks:
            raise self._refusal(Code.TOO_MANY_BLOCKS)
        if self.record_count + count > self._policy.max_records:
            raise self._refusal(Code.TOO_MANY_RECORDS)
        if self._records.width == 0 and self.record_count + count > self._policy.max_empty_records:
            raise self._refusal(Code.TOO_MANY_EMPTY_RECORDS)

    def _begin(self, count: int, size: int, content: int) -> None:
        compressed = self._open_inflater is not None
        self._check_size(size, compressed=compressed)
        room = self._policy.max_inflated_block_bytes if compressed else size
        if count * self._records.width > room:
            raise self._refusal(Code.BLOCK_COUNT_WRONG)
        nothing = count == size == 0  # some writers omit even the codec's frame
        self._inflater = None if nothing or self._open_inflater is None else self._open_inflater()
        self._records.begin(
            block=self.block_count,
            count=count,
            offset=self._offset if compressed else content,
            size=room,
            exact=not compressed,
        )
        self._is_open = True
        self._count = count
        self._left = size
        self._inflated = 0
        if size == 0:
            self._end()

    def _check_size(self, size: int, *, compressed: bool) -> None:
        if size < 0:
            raise self._refusal(Code.BLOCK_SIZE_WRONG)
        if size > self._policy.max_block_bytes:
            raise self._refusal(Code.BLOCK_TOO_LARGE)
        if size > self._policy.max_inflated_block_bytes and not compressed:
            raise self._refusal(Code.BLOCK_INFLATES_TOO_LARGE)

    def _content(self, data: bytes, pos: int, stop: int) -> int:
        end = min(stop, pos + self._left)
        if self._inflater is None:
            self._take(data, pos, end)
        else:
            end = min(end, pos + _FEED_BYTES)
            self._inflate(self._inflater, data[pos:end])
        self._left -= end - pos
        if self._left == 0:
            self._end()
        return end

    def _inflate(self, inflater: Inflater, packed: bytes | None) -> None:
        """Inflate *packed*, the next bytes of the block; None at the end of the block."""
        self._records.charge(-inflater.steps_per_byte * _USUAL_RATIO * len(packed or b""))
        try:
            for piece in inflater.finish() if packed is None else inflater.feed(packed):
                self._records.charge(inflater.steps_per_byte * len(piece))
                self._take(piece, 0, len(piece))
        except InflateError as error:
            raise self._refusal(error.code) from None

    def _take(self, data: bytes, start: int, stop: int) -> None:
        self._inflated += stop - start
        if self._inflated > self._policy.max_inflated_block_bytes:
            raise self._refusal(Code.BLOCK_INFLATES_TOO_LARGE)
        if self._inflated_before + self._inflated > self._most_inflated:
            raise self._refusal(Code.FILE_INFLATES_TOO_LARGE)
        self._records.feed(data, start, stop)

    def _end(self) -> None:
        if self._inflater is not None:
            self._inflate(self._inflater, None)
            more = max(0, self._inflater.stream_count - 1)
            self._inflater = None
            if (
                self._records.charge(more * _STEPS_PER_STREAM) < 0
            ):  # empty streams cost no steps of the walker
                raise self._refusal(Code.TOO_MANY_STEPS)
        self._records.finish()

    def _marker(self, data: bytes, pos: int, stop: int) -> int:
        end = pos + SYNC_BYTES
        if end > stop:
            return pos
        if data[pos:end] != self._sync:
            raise self._refusal(Code.SYNC_WRONG)
        self.block_count += 1
        self.record_count += self._count
        self._inflated_before += self._inflated
        self._is_open = False
        return end

    def _refusal(self, code: Code) -> RefusedError:
        return self._records.refusal(Finding(code, block=self.block_count, offset=self._offset))
