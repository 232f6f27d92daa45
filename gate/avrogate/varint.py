"""Numbers of the container: Avro specification 1.12, "Binary Encoding", int and long."""

from typing import Final

from avrogate.results import Code

_LAST_SHIFT: Final = 63
_MORE: Final = 0x80
"""The bit that says that another byte follows."""


class VarintError(Exception):
    """It is no long, or not written as short as it can be."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


def read_long(data: bytes | bytearray, pos: int, stop: int) -> tuple[int, int] | None:
    """
    The number at *pos* and where it ends; None when it does not end before *stop*.

    Raises:
        VarintError: VARINT_TOO_LONG or VARINT_OVERLONG.
    """
    read = read_unsigned(data, pos, stop)
    return None if read is None else ((read[0] >> 1) ^ -(read[0] & 1), read[1])


def read_unsigned(data: bytes | bytearray, pos: int, stop: int) -> tuple[int, int] | None:
    """The same without zig-zag."""
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
