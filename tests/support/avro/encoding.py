"""Writes Avro's binary encoding and container (specification 1.12), also with wrong parts."""

import bz2
import json
import lzma
import struct
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

import cramjam
from backports import zstd

MAGIC: Final = b"Obj\x01"
SYNC: Final = b"0123456789abcdef"
CODECS: Final = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")


def unsigned(value: int) -> bytes:
    """Return seven bits a byte, the lowest first."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def long(value: int) -> bytes:
    """Return a long or an int."""
    return unsigned(value << 1 if value >= 0 else (-value << 1) - 1)


def overlong(value: int, extra: int = 1) -> bytes:
    """Return a long with *extra* unneeded bytes."""
    short = long(value)
    return short[:-1] + bytes([short[-1] | 0x80]) + b"\x80" * (extra - 1) + b"\x00"


def text(value: str | bytes) -> bytes:
    """Return a string or bytes."""
    data = value.encode() if isinstance(value, str) else value
    return long(len(data)) + data


def double(value: float) -> bytes:
    """Return eight bytes."""
    return struct.pack("<d", value)


def items(*values: bytes, size: int | None = None, sized: bool = False) -> bytes:
    """
    Return one block of the items of an array or map, and the end.

    With its size in bytes if *sized*.
    """
    if not values:
        return long(0)
    data = b"".join(values)
    head = (
        long(-len(values)) + long(len(data) if size is None else size)
        if sized
        else long(len(values))
    )
    return head + data + long(0)


def compress(codec: str, data: bytes) -> bytes:
    """Return the block's content, compressed with *codec*."""
    match codec:
        case "null":
            return data
        case "deflate":
            packer = zlib.compressobj(6, zlib.DEFLATED, -15)
            return packer.compress(data) + packer.flush()
        case "snappy":
            return bytes(cramjam.snappy.compress_raw(data)) + struct.pack(">I", zlib.crc32(data))
        case "zstandard":
            return zstd.compress(data)
        case "bzip2":
            return bz2.compress(data)
        case "xz":
            return lzma.compress(data)
    raise AssertionError(codec)


def block(count: int, data: bytes, *, size: int | None = None, sync: bytes = SYNC) -> bytes:
    """Return a block with this content, which is already compressed."""
    return long(count) + long(len(data) if size is None else size) + data + sync


def header(
    schema: object,
    codec: str | None = "null",
    *,
    more: Mapping[str, bytes] | None = None,
    sync: bytes = SYNC,
) -> bytes:
    """Return a header; a *schema* of type str or bytes is written unchanged."""
    entries = dict(more or {})
    entries["avro.schema"] = schema_text(schema)
    if codec is not None:
        entries["avro.codec"] = codec.encode()
    return MAGIC + items(*(text(key) + text(value) for key, value in entries.items())) + sync


def schema_text(schema: object) -> bytes:
    """Return the JSON text of a schema."""
    if isinstance(schema, bytes):
        return schema
    return schema.encode() if isinstance(schema, str) else json.dumps(schema).encode()


def file_of(schema: object, blocks: Iterable[tuple[int, bytes]], codec: str = "null") -> bytes:
    """Return a whole file; *blocks* are pairs of a count and the bytes of the records."""
    return header(schema, codec) + b"".join(
        block(count, compress(codec, data)) for count, data in blocks
    )


def record(*types: object, name: str = "R", **attributes: object) -> dict[str, Any]:
    """Return a record with fields a, b, c … of these types."""
    fields = [{"name": chr(97 + number), "type": type_} for number, type_ in enumerate(types)]
    return {"type": "record", "name": name, "fields": fields, **attributes}


def one(type_: object, data: bytes, codec: str = "null") -> bytes:
    """Return a file with one record of one field."""
    return file_of(record(type_), [(1, data)], codec)
