"""
Guesses from its first bytes what a file is that is not an Avro object container file.

The guess improves the message. It does not decide whether the file is refused.
"""

import codecs
from collections.abc import Iterator
from typing import Final

from avrogate.results import Cause
from avrogate.varint import VarintError, read_unsigned

SNIFF_BYTES: Final = 512
"""The bytes that are examined; a shorter file is examined as a whole."""

_MAGICS: Final = (
    (b"PAR1", Cause.PARQUET),
    (b"PARE", Cause.PARQUET),  # with an encrypted footer
    (b"ORC", Cause.ORC),
    (b"PK\x03\x04", Cause.ZIP),
    (b"PK\x05\x06", Cause.ZIP),  # without entries
    (b"PK\x07\x08", Cause.ZIP),  # in parts
    (b"\x1f\x8b", Cause.GZIP),
    (b"\xc3\x01", Cause.SINGLE_OBJECT_ENCODING),
)
_ANY_VERSION: Final = b"Obj"
_CONFLUENT_HEAD: Final = 5
"""
A zero byte and the schema's id, big-endian.

Registries count from 1, so that the first byte of an id is 0.
"""
_TEXT_CONTROLS: Final = frozenset("\t\n\r\f")
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_SEPARATORS: Final = ",;\t|"
_MAX_FIELD_NUMBER: Final = 1 << 16
"""
Protocol Buffers allow larger numbers.

At the start of a file, other binary data is more likely than such a field.
"""
_FIXED_BYTES: Final = {1: 8, 5: 4}
_VARINT: Final = 0
_DELIMITED: Final = 2


def cause_of(data: bytes, *, whole: bool) -> Cause | None:
    """
    Return what a file without an Avro header looks like, by its first bytes *data*.

    *whole*: the file has no more bytes. None for an Avro container of another version.
    """
    if not data:
        return Cause.EMPTY_FILE
    if data.startswith(_ANY_VERSION):
        return None
    for magic, cause in _MAGICS:
        if data.startswith(magic):
            return cause
    text = _text(data, whole=whole)
    if text is not None:
        return _cause_of_text(text)
    if len(data) >= _CONFLUENT_HEAD and data[:2] == b"\x00\x00" and any(data[2:_CONFLUENT_HEAD]):
        return Cause.CONFLUENT_FRAMING
    return Cause.PROTOBUF if _is_protobuf(data, whole=whole) else Cause.RAW_DATUM


def _text(data: bytes, *, whole: bool) -> str | None:
    encoding = "utf-16" if data.startswith(_UTF_16) else "utf-8-sig"
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, final=whole)
    except UnicodeDecodeError:
        return None
    is_text = all(character.isprintable() or character in _TEXT_CONTROLS for character in text)
    return text if is_text and text else None


def _cause_of_text(text: str) -> Cause:
    if text.lstrip().startswith(("{", "[")):
        return Cause.JSON
    lines = text.splitlines()
    rows = lines[:-1] or lines  # the last may be cut off
    for separator in _SEPARATORS:
        counts = {row.count(separator) for row in rows if row}
        if len(counts) == 1 and 0 not in counts and (len(rows) > 1 or " " not in rows[0]):
            return Cause.CSV
    return Cause.TEXT


def _is_protobuf(data: bytes, *, whole: bool) -> bool:
    """Whether *data* is a sequence of fields: https://protobuf.dev/programming-guides/encoding/."""
    ends = list(_field_ends(data))
    if not ends or ends[-1] < 0:
        return False
    return ends[-1] == len(data) if whole else ends[-1] > len(data) // 2


def _field_ends(data: bytes) -> Iterator[int]:
    """Yield where each complete field ends, and -1 for an invalid field."""
    pos = 0
    try:
        while pos < len(data) and (tag := read_unsigned(data, pos, len(data))):
            kind = tag[0] & 7
            pos = tag[1]
            if not 0 < tag[0] >> 3 < _MAX_FIELD_NUMBER or kind not in {
                _VARINT,
                _DELIMITED,
                *_FIXED_BYTES,
            }:
                yield -1
                return
            value = (
                read_unsigned(data, pos, len(data)) if kind in {_VARINT, _DELIMITED} else (0, pos)
            )
            if value is None:
                return
            pos = value[1] + (value[0] if kind == _DELIMITED else _FIXED_BYTES.get(kind, 0))
            if pos > len(data):
                return
            yield pos
    except VarintError:
        yield -1
