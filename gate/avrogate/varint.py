"""Reads the variable-length integers of a container: Avro specification 1.12, "Binary Encoding"."""

from typing import Final

from avrogate.results import Code

_LAST_SHIFT: Final = 63
_MORE: Final = 0x80
"""The continuation bit: another byte follows."""


class VarintError(Exception):
    """The number does not fit into 64 bits, or is not in its shortest form."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


def read_long(data: bytes | bytearray, pos: int, stop: int) -> tuple[int, int] | None:
    """
    Return the number at *pos* and where it ends, or None if it is cut off at *stop*.

    Raises:
        VarintError: VARINT_TOO_LONG or VARINT_OVERLONG.
    """
    read = read_unsigned(data, pos, stop)
    return None if read is None else ((read[0] >> 1) ^ -(read[0] & 1), read[1])


def read_unsigned(data: bytes | bytearray, pos: int, stop: int) -> tuple[int, int] | None:
    """As `read_long`, but without zig-zag decoding."""
    value = shift = 0
    while pos < stop:
        byte = data[pos]
        pos += 1
        if shift == _LAST_SHIFT and byte > 1:
            raise VarintError(Code.VARINT_TOO_LONG)
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            if byte == 0 and shift:
                raise VarintError(Code.VARINT_OVERLONG)
            return value, pos
        shift += 7
    return None
