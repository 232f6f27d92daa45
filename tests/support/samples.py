"""
Builders of Avro object container files, valid and malicious.

They write byte by byte what no writer would write.
"""

import io
import json
import struct
import zlib
from collections.abc import Iterable
from functools import cache
from typing import Any

import fastavro

READING: dict[str, Any] = {
    "type": "record",
    "name": "HeartRateRecord",
    "namespace": "test.records",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "rate", "type": "int"},
        {"name": "note", "type": ["null", "string"], "default": None},
    ],
}
SYNC = b"0123456789abcdef"


def good_file(
    records: int = 3, *, codec: str = "null", schema: dict[str, Any] | None = None, seed: int = 0
) -> bytes:
    """Return a valid file; another *seed* gives other bytes."""
    content = io.BytesIO()
    rows = [
        {"at": 1_700_000_000_000 + seed, "rate": 60 + n % 100, "note": f"n{n}"}
        for n in range(records)
    ]
    fastavro.writer(content, schema or READING, rows, codec=codec, sync_marker=SYNC)
    return content.getvalue()


def long(value: int) -> bytes:
    """An Avro long: zig-zag, then 7 bits a byte (Avro specification 1.12, "Binary Encoding")."""
    value = (value << 1) ^ (value >> 63)
    encoded = bytearray()
    while value & ~0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)


def block(count: int, data: bytes, *, size: int | None = None, sync: bytes = SYNC) -> bytes:
    """Return one block; *size* may be wrong."""
    return long(count) + long(len(data) if size is None else size) + data + sync


def raw_file(schema: object, blocks: Iterable[bytes], *, codec: str = "null") -> bytes:
    """Return a container of the given parts; *schema* may be any text."""
    text = schema if isinstance(schema, str) else json.dumps(schema)
    entries = {"avro.schema": text.encode(), "avro.codec": codec.encode()}
    header = b"".join(
        long(len(key)) + key.encode() + long(len(value)) + value for key, value in entries.items()
    )
    return b"Obj\x01" + long(len(entries)) + header + long(0) + SYNC + b"".join(blocks)


def record_of(type_: object, *, name: str = "R") -> dict[str, Any]:
    """A record with one field `f`."""
    return {"type": "record", "name": name, "fields": [{"name": "f", "type": type_}]}


def snappy_declaring(length: int) -> bytes:
    """Return a snappy block that declares *length* inflated bytes, and has none."""
    declared = bytearray()
    while length & ~0x7F:
        declared.append(length & 0x7F | 0x80)
        length >>= 7
    declared.append(length)
    return bytes(declared) + b"\x00A" + struct.pack(">I", zlib.crc32(b"A"))


def deflate_bomb(inflated_bytes: int) -> bytes:
    """Return zeros, deflated without zlib's header, as Avro demands."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(bytes(1 << 20))
    packer.flush(zlib.Z_FULL_FLUSH)
    piece = packer.compress(bytes(1 << 20)) + packer.flush(
        zlib.Z_FULL_FLUSH
    )  # from here on each is the same
    return piece * (inflated_bytes >> 20) + packer.flush()


@cache
def hostile_files() -> dict[str, bytes]:
    """Return files that kill, hang or mislead a reader without a gate; each has the right magic."""
    empty: dict[str, Any] = {"type": "record", "name": "R", "fields": []}
    whole = good_file(100)
    return {
        "a record that contains itself": raw_file(record_of("R"), [block(1, b"\x00")]),
        "an endless block of empty records": raw_file(empty, [block(2**62, b"")]),
        "an endless block of nulls": raw_file('"null"', [block(2**62, b"")]),
        "2^62 fixed values of no size in an array": raw_file(
            record_of({"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}),
            [block(1, long(2**62) + long(0))],
        ),
        "2^40 nulls in an array": raw_file(
            record_of({"type": "array", "items": "null"}), [block(1, long(2**40) + long(0))]
        ),
        "snappy that declares 4 GiB": raw_file(
            record_of("bytes"), [block(1, snappy_declaring(2**32 - 1))], codec="snappy"
        ),
        "a deflate bomb": raw_file(
            record_of("bytes"), [block(1, deflate_bomb(1 << 30))], codec="deflate"
        ),
        "a metadata value of 2^62 bytes": b"Obj\x01" + long(1) + long(4) + b"data" + long(2**62),
        "a linked list of 200,000": raw_file(
            record_of(["null", "R"]), [block(1, long(1) * 200_000 + long(0))]
        ),
        "cut off in a record": whole[:-40],
        "another sync marker": whole[:-16] + b"x" * 16,
        "trailing bytes": whole + b"\x00" * 7,
        "a path as record name": raw_file(
            record_of("int", name="../../etc/passwd"), [block(1, long(1))]
        ),
        "a name of 100,000 letters": raw_file(
            record_of("int", name="A" * 100_000), [block(1, long(1))]
        ),
        "a count that hides records": raw_file(record_of("int"), [block(1, long(1) * 5)]),
        "a negative count": raw_file(record_of("int"), [block(-5, long(1) * 5)]),
        "a count beyond the data": raw_file(record_of("int"), [block(50, long(1) * 5)]),
        "an unknown codec": raw_file(record_of("int"), [block(1, long(1))], codec="rot13"),
        "no schema": raw_file("", []),
        "a schema that is no JSON": raw_file("{", []),
        "a schema of an unknown type": raw_file(record_of("Unknown"), []),
        "a schema that is an array": raw_file(
            {"type": "array", "items": "int"}, [block(1, long(0))]
        ),
        "text that is not UTF-8": raw_file(record_of("string"), [block(1, long(1) + b"\xff")]),
        "magic alone": b"Obj\x01",
    }
