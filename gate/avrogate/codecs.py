"""
Decompresses blocks: Avro specification 1.12, "Required Codecs" and "Optional Codecs".

An inflater takes compressed pieces and yields inflated pieces of at most `PIECE_BYTES`. It
allocates nothing by a size that the file declares.
"""

import bz2
import lzma
import sys
from array import array
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from zlib_ng import zlib_ng

from avrogate import snappy
from avrogate.policy import Policy
from avrogate.results import Code

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE_BYTES: Final = 1 << 18
"""Small enough to stay in a processor cache between inflating and validating."""
_CHECKSUM_BYTES: Final = 4
_UNSUMMED_PIECES: Final = 4
_LENGTH_BYTES: Final = 5
_SNAPPY_WINDOW_BYTES: Final = 1 << 16
"""
How far back a copy may reach.

The format allows more, but encoders cut their input into pieces of this size.
"""
_MAX_STREAMS: Final = 256
"""
The limit for one block.

Writers make one stream. Opening a stream costs time, and an empty stream takes only a few bytes.
"""


class InflateError(Exception):
    """The compressed bytes are invalid, or need more memory than allowed."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


class Inflater(Protocol):
    """
    Decompresses one block.

    Each inflated byte beyond the usual ratio costs `steps_per_byte` steps of the walker.
    `stream_count` counts the streams or frames that were opened.
    """

    steps_per_byte: int
    stream_count: int

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Yield the inflated pieces that are complete; raises `InflateError`."""
        ...

    def finish(self) -> Iterator[bytes]:
        """
        Yield the remaining pieces after the last `feed`.

        Raises `InflateError` unless the compressed data ends exactly here.
        """
        ...


class Deflate:
    """
    Raw deflate (RFC 1951).

    Two writers, fastavro and Apache's library for Python, remove zlib's frame incompletely: three
    of the four bytes of its checksum (RFC 1950, 2.2) remain. Such files are correct otherwise, so a
    remainder is accepted if it matches the checksum.
    """

    steps_per_byte = 0
    stream_count = 1

    def __init__(self) -> None:
        self._stream = zlib_ng.decompressobj(-zlib_ng.MAX_WBITS)
        self._checksum = 1  # Adler-32 of everything before `_unsummed`
        self._unsummed: list[bytes] = []  # summed only if bytes follow the stream, which is rare
        self._extra = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Inflater.feed`."""
        while piece and not self._stream.eof:
            yield from self._step(piece)
            piece = self._stream.unconsumed_tail
            if self._stream.eof:
                piece = self._stream.unused_data
        if piece:
            self._extra += piece
            if len(self._extra) > _CHECKSUM_BYTES:
                raise InflateError(Code.COMPRESSED_LEFT_OVER)

    def finish(self) -> Iterator[bytes]:
        """See `Inflater.finish`."""
        yield from self._step(b"")  # the rest that did not fit into the last piece
        if not self._stream.eof:
            raise InflateError(Code.COMPRESSED_CUT_OFF)
        if self._extra:
            self._sum()
            checksum = self._checksum.to_bytes(_CHECKSUM_BYTES, "big")
            if self._extra not in {checksum[:-1], checksum}:
                raise InflateError(Code.COMPRESSED_LEFT_OVER)

    def _step(self, piece: bytes) -> Iterator[bytes]:
        try:
            out = self._stream.decompress(piece, PIECE_BYTES)
        except zlib_ng.error:  # type: ignore[misc] # its stubs call it a value
            raise InflateError(Code.COMPRESSED_INVALID) from None
        if out:
            self._unsummed.append(out)
            if len(self._unsummed) > _UNSUMMED_PIECES:
                self._sum()
            yield out

    def _sum(self) -> None:
        for piece in self._unsummed:
            self._checksum = zlib_ng.adler32(piece, self._checksum)
        self._unsummed.clear()


class Framed:
    """bzip2, xz and zstandard: a sequence of streams or frames."""

    def __init__(
        self,
        open_stream: Callable[[], "_Stream"],
        error: type[Exception],
        *,
        steps_per_byte: int = 0,
    ) -> None:
        self.steps_per_byte = steps_per_byte
        self._open = open_stream
        self._error = error
        self._stream: _Stream | None = None
        self.stream_count = 0

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Inflater.feed`."""
        while piece or (self._stream is not None and not self._stream.needs_input):
            if self._stream is None:
                self._stream = self._begin()
            try:
                out = self._stream.decompress(piece, PIECE_BYTES)
            except self._error as error:
                raise InflateError(_code_of(error)) from None
            if out:
                yield out
            piece = b""
            if self._stream.eof:
                piece = self._stream.unused_data
                self._stream = None

    def finish(self) -> Iterator[bytes]:
        """See `Inflater.finish`."""
        if self._stream is not None or self.stream_count == 0:
            raise InflateError(Code.COMPRESSED_CUT_OFF)
        yield from ()  # `feed` has yielded everything

    def _begin(self) -> "_Stream":
        self.stream_count += 1
        if self.stream_count > _MAX_STREAMS:
            raise InflateError(Code.COMPRESSED_TOO_MANY_STREAMS)
        return self._open()


class Snappy:
    """Raw snappy, followed by the CRC-32 of the inflated bytes, big-endian."""

    steps_per_byte = 0
    stream_count = 1

    def __init__(self, max_inflated_bytes: int) -> None:
        self._max_inflated_bytes = max_inflated_bytes
        self._window = bytearray(_SNAPPY_WINDOW_BYTES + PIECE_BYTES)
        self._state = array("q", bytes(8 * snappy.WORDS))
        self._begun = False
        self._rest = b""  # not read yet: an incomplete length or tag, and possibly the checksum
        self._checksum = 0
        self._state[snappy.AT] = self._state[snappy.FLOOR] = _SNAPPY_WINDOW_BYTES

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """See `Inflater.feed`."""
        self._rest += piece
        if self._begun or self._begin():
            yield from self._inflate()

    def finish(self) -> Iterator[bytes]:
        """See `Inflater.finish`."""
        if (
            not self._begun
            or len(self._rest) != _CHECKSUM_BYTES
            or self._state[snappy.LEFT] + self._state[snappy.TOTAL]
        ):
            raise InflateError(Code.COMPRESSED_CUT_OFF)
        yield from self._give_out()
        if self._checksum != int.from_bytes(self._rest, "big"):
            raise InflateError(Code.CHECKSUM_WRONG)

    def _begin(self) -> bool:
        """
        Read the inflated length: 32 bits, 7 in each byte, the lowest first.

        Returns False while it is incomplete.
        """
        length = 0
        for index, byte in enumerate(self._rest[:-_CHECKSUM_BYTES]):
            length |= (byte & 0x7F) << 7 * index
            if index == _LENGTH_BYTES or length >= 1 << 32:
                raise InflateError(Code.COMPRESSED_INVALID)
            if byte < 0x80:  # noqa: PLR2004 - the continuation bit
                if length > self._max_inflated_bytes:
                    raise InflateError(Code.BLOCK_INFLATES_TOO_LARGE)
                self._state[snappy.TOTAL] = length
                self._rest = self._rest[index + 1 :]
                self._begun = True
                return True
        return False

    def _inflate(self) -> Iterator[bytes]:
        while True:
            read = snappy.inflate(
                self._rest, len(self._rest) - _CHECKSUM_BYTES, self._window, self._state
            )
            self._rest = self._rest[read:]
            if self._state[snappy.FAULT]:
                far = self._state[snappy.FAULT] == snappy.FAR
                raise InflateError(
                    Code.COMPRESSED_WINDOW_TOO_LARGE if far else Code.COMPRESSED_INVALID
                )
            if self._state[snappy.AT] < len(self._window):
                return
            yield from self._give_out()

    def _give_out(self) -> Iterator[bytes]:
        at = self._state[snappy.AT]
        if at == _SNAPPY_WINDOW_BYTES:  # nothing new since the last piece
            return
        piece = bytes(memoryview(self._window)[_SNAPPY_WINDOW_BYTES:at])
        self._checksum = zlib_ng.crc32(piece, self._checksum)
        self._window[:_SNAPPY_WINDOW_BYTES] = self._window[at - _SNAPPY_WINDOW_BYTES : at]
        self._state[snappy.FLOOR] = max(0, self._state[snappy.FLOOR] - (at - _SNAPPY_WINDOW_BYTES))
        self._state[snappy.AT] = _SNAPPY_WINDOW_BYTES
        yield piece


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


def inflaters(policy: Policy) -> Mapping[str, Callable[[], Inflater]]:
    """Return a factory of inflaters for each codec name in the header, except "null"."""
    window: dict[int, int] = {
        zstd.DecompressionParameter.window_log_max: policy.max_window_bytes.bit_length() - 1
    }

    def xz() -> _Stream:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=policy.max_xz_memory_bytes)

    return {
        "deflate": Deflate,
        "snappy": lambda: Snappy(policy.max_inflated_block_bytes),
        "bzip2": lambda: Framed(bz2.BZ2Decompressor, OSError, steps_per_byte=4),
        "xz": lambda: Framed(xz, lzma.LZMAError),
        "zstandard": lambda: Framed(lambda: zstd.ZstdDecompressor(options=window), zstd.ZstdError),
    }


def _code_of(error: Exception) -> Code:
    """Return the code of a library's error; only its text tells that a window is too large."""
    asks_too_much = "too much memory" in str(error) or "Memory usage limit" in str(error)
    return Code.COMPRESSED_WINDOW_TOO_LARGE if asks_too_much else Code.COMPRESSED_INVALID
