"""Hostile files, each with the code it must be refused with. They are made here, never kept as opaque bytes."""

import bz2
import lzma
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import cramjam
from backports import zstd

from avrogate import Code
from support.avro.encoding import (
    CODECS,
    MAGIC,
    SYNC,
    block,
    compress,
    double,
    file_of,
    header,
    items,
    long,
    one,
    overlong,
    record,
    text,
    unsigned,
)

HUGE: Final = (2**40, 2**62, 2**63 - 1)


@dataclass(frozen=True, slots=True)
class Hostile:
    """A wrong file and why it is refused."""

    name: str
    file: bytes
    code: Code


@cache
def hostile_files() -> tuple[Hostile, ...]:
    """All of them; names are unique."""
    parts = (
        _headers(),
        _schemas(),
        _names(),
        _structures(),
        _blocks(),
        _codecs(),
        _values(),
        _collections(),
        _logical(),
    )
    return tuple(Hostile(*entry) for part in parts for entry in part)


Entry = tuple[str, bytes, Code]


def _headers() -> Iterator[Entry]:
    good = header(record("int")) + block(1, long(1))
    schema = text("avro.schema") + text(b'{"type":"record","name":"R","fields":[]}')
    yield "nothing", b"", Code.MAGIC_WRONG
    for length in (1, 3, 4, 5, 20, 40, len(header(record("int"))) - 1):
        yield f"header of {length} bytes", good[:length], Code.HEADER_CUT_OFF
    for magic in (
        b"Obj\x02",
        b"Obj\x00",
        b"obj\x01",
        b"PK\x03\x04",
        b"\x00\x00\x00\x00",
        b"PAR1",
        b"\xef\xbb\xbfObj\x01",
    ):
        yield f"magic {magic!r}", magic + good[4:], Code.MAGIC_WRONG
    for count in HUGE:
        yield f"{count} metadata entries", MAGIC + long(count) + schema, Code.HEADER_CUT_OFF
        yield f"metadata key of {count} bytes", MAGIC + long(1) + long(count), Code.HEADER_TOO_LARGE
        yield f"metadata value of {count} bytes", MAGIC + long(1) + text("k") + long(count), Code.HEADER_TOO_LARGE
    yield "least count of metadata", MAGIC + long(-(2**63)) + long(0) + schema, Code.HEADER_CUT_OFF
    yield "negative metadata key length", MAGIC + long(1) + long(-1), Code.METADATA_INVALID
    yield "negative metadata value length", MAGIC + long(1) + text("k") + long(-5), Code.METADATA_INVALID
    yield "false size of metadata", MAGIC + long(-1) + long(3) + schema + long(0) + SYNC, Code.METADATA_INVALID
    yield "negative size of metadata", MAGIC + long(-1) + long(-3) + schema + long(0) + SYNC, Code.METADATA_INVALID
    yield "metadata key not UTF-8", MAGIC + long(1) + text(b"\xff") + text(""), Code.METADATA_INVALID
    many = {f"k{number}": b"" for number in range(64)}
    yield "65 metadata entries", header(record("int"), None, more=many), Code.METADATA_TOO_MANY
    yield "schema twice", MAGIC + long(2) + schema + schema + long(0) + SYNC, Code.METADATA_DUPLICATE
    yield "key twice", MAGIC + long(2) + (text("k") + text("")) * 2 + long(0) + SYNC, Code.METADATA_DUPLICATE
    yield "header over a mebibyte", header(record("int"), more={"k": bytes(1 << 20)}), Code.HEADER_TOO_LARGE
    yield "no schema", MAGIC + long(1) + text("avro.codec") + text("null") + long(0) + SYNC, Code.SCHEMA_MISSING
    yield "no metadata", MAGIC + long(0) + SYNC, Code.SCHEMA_MISSING
    yield "overlong metadata count", MAGIC + overlong(1) + schema + long(0) + SYNC, Code.VARINT_OVERLONG
    yield "endless metadata count", MAGIC + b"\xff" * 1000, Code.VARINT_TOO_LONG
    yield "metadata count of 65 bits", MAGIC + b"\xff" * 9 + b"\x02", Code.VARINT_TOO_LONG
    for codec in ("rot13", "Deflate", "", "NULL", "lz4", "zstd", "deflate\0", "ÿ"):
        yield f"codec {codec!r}", header(record("int"), codec) + block(1, long(1)), Code.CODEC_UNSUPPORTED


def _schemas() -> Iterator[Entry]:
    for name, schema in {
        "empty": "",
        "open": "{",
        "trailing": '"int" x',
        "single quotes": "{'type':'int'}",
        "byte order mark": "\ufeff" + '"int"',
        "NaN": '{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":NaN}]}',
        "Infinity": '{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":-Infinity}]}',
        "comment": '/* */ "int"',
        "control character": '"in\tt"',
        "5,000 digits": '{"type":"fixed","name":"F","size":' + "9" * 5000 + "}",
        "open string": '"' + '\\"' * 50_000,
    }.items():
        yield f"schema text {name}", header(schema), Code.SCHEMA_NOT_JSON
    yield "schema not UTF-8", header(b'"in\xfft"'), Code.SCHEMA_NOT_JSON
    yield "schema in UTF-16", header('"int"'.encode("utf-16")), Code.SCHEMA_NOT_JSON
    yield "key twice in the schema", header('{"type":"int","type":"long"}'), Code.SCHEMA_DUPLICATE_KEY
    yield "schema over 256 KiB", header(record("int", doc="x" * (1 << 18))), Code.SCHEMA_TOO_LARGE
    yield "10,000 brackets", header("[" * 10_000), Code.SCHEMA_TOO_DEEP
    yield "100,000 objects", header('{"type":' * 32_000), Code.SCHEMA_TOO_DEEP
    deep: Any = "int"
    for _ in range(64):
        deep = {"type": "array", "items": deep}
    yield "65 types deep", header(record(deep)), Code.SCHEMA_TOO_DEEP
    wide = record(name="R")
    wide["fields"] = [{"name": f"f{n}", "type": "int"} for n in range(5000)]
    yield "5,001 types", header(wide), Code.SCHEMA_TOO_MANY_NODES
    for value in (5, None, True, 1.5, {"type": {"type": "int"}}, {"type": ["int"]}, {"type": 7}):
        yield f"schema {value}", header(record(value)), Code.SCHEMA_TYPE_UNKNOWN
    for name in ("Unknown", "INT", "a.b.C", "", " int", "decimal", "union"):
        yield f"type {name!r}", header(record(name)), Code.SCHEMA_TYPE_UNKNOWN
    forward = record("Later", {"type": "fixed", "name": "Later", "size": 1})
    yield "used before it is defined", header(forward), Code.SCHEMA_TYPE_UNKNOWN
    for name, lacking in {
        "record without fields": {"type": "record", "name": "R"},
        "record without name": {"type": "record", "fields": []},
        "field without name": {"type": "record", "name": "R", "fields": [{"type": "int"}]},
        "field without type": {"type": "record", "name": "R", "fields": [{"name": "a"}]},
        "array without items": record({"type": "array"}),
        "map without values": record({"type": "map"}),
        "fixed without size": record({"type": "fixed", "name": "F"}),
        "fixed without name": record({"type": "fixed", "size": 1}),
        "enum without symbols": record({"type": "enum", "name": "E"}),
        "empty object": {},
    }.items():
        yield name, header(lacking), Code.SCHEMA_ATTRIBUTE_MISSING
    for size in (-1, "8", True, 1.5, None, [1]):
        yield (
            f"fixed size {size}",
            header(record({"type": "fixed", "name": "F", "size": size})),
            Code.SCHEMA_ATTRIBUTE_INVALID,
        )
    yield "fields no array", header({"type": "record", "name": "R", "fields": {}}), Code.SCHEMA_ATTRIBUTE_INVALID
    yield "field no object", header({"type": "record", "name": "R", "fields": ["a"]}), Code.SCHEMA_ATTRIBUTE_INVALID
    order = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "order": "sideways"}]}
    yield "unknown order", header(order), Code.SCHEMA_ATTRIBUTE_INVALID
    order["fields"] = [{"name": "a", "type": "int", "order": []}]
    yield "order no text", header(order), Code.SCHEMA_ATTRIBUTE_INVALID
    yield (
        "symbols a text",
        header(record({"type": "enum", "name": "E", "symbols": "AB"})),
        Code.SCHEMA_ATTRIBUTE_INVALID,
    )
    yield "aliases a text", header(record("int", aliases="Old")), Code.SCHEMA_ATTRIBUTE_INVALID
    foreign = record("int", __named_schemas={"X": {"type": "fixed", "size": -1}}, __fastavro_parsed__=True)
    yield "types for fastavro to trust", header(foreign), Code.SCHEMA_ATTRIBUTE_INVALID


def _names() -> Iterator[Entry]:
    for name in (
        "",
        "1a",
        "a-b",
        "a b",
        "../../etc/passwd",
        "a/b",
        "näme",
        "a\0b",
        "a\ud800",
        ".A",
        "A.",
        "a..B",
        "a.1.B",
    ):
        yield f"record name {name!r}", header(record("int", name=name)), Code.SCHEMA_NAME_INVALID
    for name in ("int", "string", "ns.null"):
        yield f"record named {name}", header(record("int", name=name)), Code.SCHEMA_NAME_INVALID
    wrong_names: tuple[object, ...] = (7, None, ["R"], {})
    for value in wrong_names:
        yield (
            f"record name {value!r}",
            header({"type": "record", "name": value, "fields": []}),
            Code.SCHEMA_ATTRIBUTE_INVALID,
        )
    yield "name of 257 letters", header(record("int", name="A" * 257)), Code.SCHEMA_NAME_TOO_LONG
    yield "name of 100,000 letters", header(record("int", name="A" * 100_000)), Code.SCHEMA_NAME_TOO_LONG
    yield "namespace with a space", header(record("int", namespace="a b")), Code.SCHEMA_NAME_INVALID
    yield "namespace a number", header(record("int", namespace=7)), Code.SCHEMA_ATTRIBUTE_INVALID
    yield "alias with a slash", header(record("int", aliases=["a/b"])), Code.SCHEMA_NAME_INVALID
    for name in ("", "a.b", "1", "a b"):
        field = {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"}]}
        yield f"field name {name!r}", header(field), Code.SCHEMA_NAME_INVALID
    alias = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int", "aliases": ["x y"]}]}
    yield "field alias with a space", header(alias), Code.SCHEMA_NAME_INVALID
    twice = {"type": "record", "name": "R", "fields": [{"name": "a", "type": "int"}] * 2}
    yield "field twice", header(twice), Code.SCHEMA_FIELD_DUPLICATE
    fixed = {"type": "fixed", "name": "F", "size": 1}
    yield "name twice", header(record(fixed, fixed)), Code.SCHEMA_NAME_REDEFINED
    yield (
        "name of the record around",
        header(record({"type": "fixed", "name": "R", "size": 1})),
        Code.SCHEMA_NAME_REDEFINED,
    )
    for symbols in (["1"], ["a b"], [""], ["a.b"]):
        enum = {"type": "enum", "name": "E", "symbols": symbols}
        yield f"symbols {symbols}", header(record(enum)), Code.SCHEMA_NAME_INVALID
    yield (
        "symbol twice",
        header(record({"type": "enum", "name": "E", "symbols": ["A", "A"]})),
        Code.SCHEMA_SYMBOL_DUPLICATE,
    )
    enum = {"type": "enum", "name": "E", "symbols": ["A"], "default": "B"}
    yield "enum default no symbol", header(record(enum)), Code.SCHEMA_DEFAULT_INVALID


def _structures() -> Iterator[Entry]:
    for name, branches in {
        "none": [],
        "null twice": ["null", "null"],
        "arrays": [{"type": "array", "items": "int"}, {"type": "array", "items": "long"}],
        "maps": [{"type": "map", "values": "int"}, {"type": "map", "values": "long"}],
        "union": ["null", ["int", "string"]],
        "the same but for a logical type": ["int", {"type": "int", "logicalType": "date"}],
    }.items():
        yield f"union of {name}", header(record(branches)), Code.SCHEMA_UNION_INVALID
    fixed = {"type": "fixed", "name": "F", "size": 2}
    for type_, default in (
        ("int", "1"), ("int", 2**31), ("int", 1.5), ("int", True), ("long", 2**63), ("string", 5), ("null", 0),
        ("boolean", 1), ("double", "1"), ("bytes", "\u0100"), (["null", "int"], "x"), (fixed, "a"),
        ({"type": "array", "items": "int"}, ["x"]), ({"type": "map", "values": "int"}, {"a": None}),
        (record("int", name="I"), {}), ({"type": "enum", "name": "E", "symbols": ["A"]}, "B"),
    ):  # fmt: skip
        schema = {"type": "record", "name": "R", "fields": [{"name": "a", "type": type_, "default": default}]}
        yield f"default {default!r} of {type_}", header(schema), Code.SCHEMA_DEFAULT_INVALID
    yield "a record in itself", header(record("R")) + block(1, b""), Code.SCHEMA_ENDLESS
    yield "a record in its second field", header(record("int", "R")), Code.SCHEMA_ENDLESS
    yield "two records in each other", header(record(record("R", name="S"))), Code.SCHEMA_ENDLESS
    yield "itself beside a union", header(record(["null", "R"], "R")), Code.SCHEMA_ENDLESS
    nested: Any = record("R", name="Last")
    for number in range(15):
        nested = record(nested, name=f"N{number}")
    yield "a circle of 17", header(record(nested)), Code.SCHEMA_ENDLESS
    empty, nulls = {"type": "record", "name": "E", "fields": []}, record("null", "null", name="N")
    zero = {"type": "fixed", "name": "Z", "size": 0}
    for name, item in {
        "null": "null",
        "empty": empty,
        "nulls": nulls,
        "fixed": zero,
        "both": record(zero, name="B"),
    }.items():
        array = {"type": "array", "items": item}
        yield f"array of {name}", one(array, long(2**62)), Code.SCHEMA_ZERO_WIDTH_ITEMS
        yield (
            f"array of {name} in a map",
            header(record({"type": "map", "values": array})),
            Code.SCHEMA_ZERO_WIDTH_ITEMS,
        )
    for leaf in ("null", "int", "string"):
        fields: list[Any] = [{"name": "f0", "type": record(leaf, leaf, name="A0")}]
        for number in range(1, 40):
            again = record(f"A{number - 1}", f"A{number - 1}", name=f"A{number}")
            fields.append({"name": f"f{number}", "type": again})
        yield f"2^40 {leaf}", header({"type": "record", "name": "R", "fields": fields}), Code.SCHEMA_EXPANSION
    yield "fixed of 65 MiB", header(record({"type": "fixed", "name": "F", "size": 65 << 20})), Code.SCHEMA_EXPANSION
    yield "fixed of 2^62", header(record({"type": "fixed", "name": "F", "size": 2**62})), Code.SCHEMA_EXPANSION
    for top in ('"null"', '"int"', '"string"', '["null"]', '{"type":"array","items":"int"}'):
        yield f"top {top}", header(top), Code.SCHEMA_NOT_A_RECORD


def _blocks() -> Iterator[Entry]:
    head, schema = header(record("int")), record("int")
    good = block(2, long(1) + long(2))
    for count in (0, -1, -2, -(2**63)):
        yield f"count {count}", head + block(count, long(1) * 2), Code.BLOCK_COUNT_WRONG
    yield "count beyond the bytes", head + block(50, long(1) * 5), Code.BLOCK_COUNT_WRONG
    yield "count that hides records", head + block(1, long(1) * 5), Code.DATA_LEFT_OVER
    yield "more records than a file may have", head + block(50_000_001, long(1)), Code.TOO_MANY_RECORDS
    for size in (-1, -(2**63)):
        yield f"size {size}", head + block(1, long(1), size=size), Code.BLOCK_SIZE_WRONG
    for size in (2**27, *HUGE):
        yield f"size {size}", head + block(1, long(1), size=size), Code.BLOCK_TOO_LARGE
    yield "size one more", head + block(1, long(1), size=2), Code.DATA_LEFT_OVER
    yield "size one less", head + block(2, long(1) + long(2), size=1), Code.BLOCK_COUNT_WRONG
    yield "size zero", head + block(1, long(1), size=0), Code.BLOCK_COUNT_WRONG
    yield "another marker", head + block(1, long(1), sync=SYNC[::-1]), Code.SYNC_WRONG
    yield "no marker", head + block(1, long(1), sync=b""), Code.BLOCK_CUT_OFF
    yield "no marker between blocks", head + block(1, long(1), sync=b"") + good, Code.SYNC_WRONG
    yield "the header again", head + good + head + good, Code.BLOCK_COUNT_WRONG
    for tail, code in {
        b"\x00": Code.BLOCK_COUNT_WRONG,
        b"\x00" * 7: Code.BLOCK_COUNT_WRONG,
        b"\n": Code.BLOCK_CUT_OFF,
        b"\x02": Code.BLOCK_CUT_OFF,
        b"\x80": Code.BLOCK_CUT_OFF,
        b"\x02\x02": Code.BLOCK_CUT_OFF,
        b"\xff" * 11: Code.VARINT_TOO_LONG,
        SYNC: Code.BLOCK_SIZE_WRONG,
    }.items():
        yield f"{tail!r} at the end", head + good + tail, code
    yield "overlong count", head + overlong(1) + long(1) + long(1) + SYNC, Code.VARINT_OVERLONG
    yield "overlong size", head + long(1) + overlong(1) + long(1) + SYNC, Code.VARINT_OVERLONG
    empty = {"type": "record", "name": "R", "fields": []}
    for name, nothing in {"empty": empty, "nulls": record("null", "null")}.items():
        yield f"10,001 {name} records", header(nothing) + block(10_001, b""), Code.TOO_MANY_EMPTY_RECORDS
        yield f"2^40 {name} records", header(nothing) + block(2**40, b""), Code.TOO_MANY_RECORDS
        yield f"bytes in {name} records", header(nothing) + block(1, b"\x00"), Code.DATA_LEFT_OVER
    yield "empty records in many blocks", header(empty) + block(6000, b"") * 2, Code.TOO_MANY_EMPTY_RECORDS
    yield "100,001 blocks", head + block(1, long(1)) * 100_001, Code.TOO_MANY_BLOCKS
    yield "a byte too few", file_of(schema, [(1, b"\x80")]), Code.DATA_CUT_OFF


def _codecs() -> Iterator[Entry]:
    good, schema = long(1), record("int")
    for codec in CODECS[1:]:
        packed = compress(codec, good)
        cut = Code.COMPRESSED_INVALID if codec == "snappy" else Code.COMPRESSED_CUT_OFF
        yield f"{codec}: nothing", header(schema, codec) + block(1, b""), Code.COMPRESSED_CUT_OFF
        bare = packed if codec == "snappy" else packed[:-1]
        if codec == "snappy":
            bare = packed[:1] + packed[-4:]
        yield f"{codec}: cut off", header(schema, codec) + block(1, bare), cut
        yield f"{codec}: count too large", file_of(schema, [(2, good)], codec), Code.DATA_CUT_OFF
        yield f"{codec}: count too small", file_of(schema, [(1, good * 2)], codec), Code.DATA_LEFT_OVER
        yield f"{codec}: count 2^25", header(schema, codec) + block(2**25 * 1, packed), Code.DATA_CUT_OFF
        yield f"{codec}: too large", header(schema, codec) + block(1, good, size=17 << 20), Code.BLOCK_TOO_LARGE
        yield f"{codec}: empty content", file_of(schema, [(1, b"")], codec), Code.DATA_CUT_OFF
        garbage = header(schema, codec) + block(1, b"\xfe" * 64)
        yield f"{codec}: garbage", garbage, Code.COMPRESSED_INVALID
    deflated = compress("deflate", good)
    for tail in (b"\x00", b"abc", b"abcd", bytes(100), deflated):
        left = header(schema, "deflate") + block(1, deflated + tail)
        yield f"deflate: {tail!r} behind", left, Code.COMPRESSED_LEFT_OVER
    zlibbed = header(schema, "deflate") + block(1, zlib.compress(good))
    yield "deflate: zlib's frame", zlibbed, Code.COMPRESSED_INVALID
    yield (
        "bzip2: garbage behind",
        header(schema, "bzip2") + block(1, bz2.compress(good) + b"x" * 9),
        Code.COMPRESSED_INVALID,
    )
    yield (
        "xz: garbage behind",
        header(schema, "xz") + block(1, lzma.compress(good) + b"x" * 12),
        Code.COMPRESSED_INVALID,
    )
    behind = header(schema, "zstandard") + block(1, zstd.compress(good) + b"x" * 9)
    yield "zstandard: garbage behind", behind, Code.COMPRESSED_INVALID
    snappy = bytes(cramjam.snappy.compress_raw(good))
    yield "snappy: wrong checksum", header(schema, "snappy") + block(1, snappy + bytes(4)), Code.CHECKSUM_WRONG
    yield "snappy: no checksum", header(schema, "snappy") + block(1, snappy), Code.COMPRESSED_CUT_OFF
    for length in (65 << 20, 2**31, 2**32 - 1):
        declared = header(schema, "snappy") + block(1, unsigned(length) + b"\x00A" + bytes(4))
        yield f"snappy: declares {length}", declared, Code.BLOCK_INFLATES_TOO_LARGE
    many = {"bzip2": bz2.compress(b""), "zstandard": zstd.compress(b""), "xz": lzma.compress(b"")}
    for codec, nothing in many.items():
        streams = header(schema, codec) + block(1, nothing * 300)
        yield f"{codec}: 300 streams", streams, Code.COMPRESSED_TOO_MANY_STREAMS
    yield from _bombs()
    window = zstd.CompressionParameter
    options: dict[int, int] = {window.window_log: 27, window.content_size_flag: 0}
    packer = zstd.ZstdCompressor(options=options)
    wide = packer.compress(good) + packer.flush()
    yield "zstandard: window of 128 MiB", header(schema, "zstandard") + block(1, wide), Code.COMPRESSED_WINDOW_TOO_LARGE
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 28}]
    dictionary = lzma.compress(good, filters=filters)
    yield "xz: dictionary of 256 MiB", header(schema, "xz") + block(1, dictionary), Code.COMPRESSED_WINDOW_TOO_LARGE


def _bombs() -> Iterator[Entry]:
    """Sixty-five mebibytes of zeros, in as few bytes as the codec can."""
    for codec in ("zstandard", "bzip2", "xz"):  # several streams are one content
        zeros = compress(codec, bytes(1 << 20)) * 65
        for name, length, code in (
            ("a value over the limit", 65 << 20, Code.LENGTH_BEYOND_BLOCK),
            ("a bomb behind a value", 1 << 20, Code.DATA_LEFT_OVER),
        ):
            file = header(record("bytes"), codec) + block(1, compress(codec, long(length)) + zeros)
            yield f"{codec}: {name}", file, code
        doubles = header(record("double"), codec) + block(8 << 20, zeros)
        yield f"{codec}: more doubles than fit", doubles, Code.BLOCK_INFLATES_TOO_LARGE
    inflating = compress("deflate", bytes(65 << 20))
    doubles = header(record("double"), "deflate") + block(8 << 20, inflating)
    yield "deflate: more doubles than fit", doubles, Code.BLOCK_INFLATES_TOO_LARGE


def _values() -> Iterator[Entry]:
    enum = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
    for byte in (2, 7, 0x80, 0xFF):
        yield f"boolean {byte}", one("boolean", bytes([byte])), Code.BOOLEAN_INVALID
    for value in (2**31, -(2**31) - 1, 2**40, 2**62, -(2**63)):
        yield f"int {value}", one("int", long(value)), Code.INT_RANGE
    for type_ in ("int", "long"):
        yield f"overlong {type_}", one(type_, overlong(1)), Code.VARINT_OVERLONG
        yield f"overlong zero {type_}", one(type_, b"\x80\x00"), Code.VARINT_OVERLONG
        yield f"{type_} of 10 bytes for nothing", one(type_, overlong(1, 9)), Code.VARINT_OVERLONG
        yield f"{type_} of 32 bytes", one(type_, overlong(1, 31)), Code.VARINT_TOO_LONG
        yield f"{type_} of 65 bits", one(type_, b"\xff" * 9 + b"\x02"), Code.VARINT_TOO_LONG
        yield f"{type_} without end", one(type_, b"\xff" * (1 << 20)), Code.VARINT_TOO_LONG
        yield f"{type_} cut off", one(type_, b"\x80\x80"), Code.DATA_CUT_OFF
    for index in (2, -1, -(2**63), 2**62):
        yield f"symbol {index}", one(enum, long(index)), Code.ENUM_INDEX
        yield f"branch {index}", one(["null", "int"], long(index)), Code.UNION_INDEX
    yield "overlong branch", one(["null", "int"], overlong(0)), Code.VARINT_OVERLONG
    yield "symbol of none", one({"type": "enum", "name": "E", "symbols": []}, long(0)), Code.ENUM_INDEX
    for type_ in ("string", "bytes"):
        yield f"{type_} of length -1", one(type_, long(-1)), Code.LENGTH_NEGATIVE
        yield f"{type_} of least length", one(type_, long(-(2**63))), Code.LENGTH_NEGATIVE
        for length in (5, *HUGE):
            yield f"{type_} of length {length}", one(type_, long(length) + b"abcd"), Code.LENGTH_BEYOND_BLOCK
        yield f"overlong length of {type_}", one(type_, overlong(1) + b"a"), Code.VARINT_OVERLONG
        yield f"rest behind {type_}", one(type_, text("a") + b"b"), Code.DATA_LEFT_OVER
    for wrong in (
        b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x41", b"\xe0\x80\x80", b"\xe0\x9f\xbf",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xe2\x82", b"\xe2\x82\x41", b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98", b"\xf0\x9f\x98\x41",
        b"\xfe", b"\xff", b"abcdefgh\xff", b"\xffabcdefgh", b"abcdefghijklmno\xc3",
    ):  # fmt: skip
        yield f"text {wrong!r}", one("string", text(wrong)), Code.UTF8_INVALID
    cut: tuple[tuple[object, int], ...] = (
        ("float", 3),
        ("double", 7),
        ("boolean", 0),
        ("string", 0),
        (["null", "int"], 1),
    )
    for short, length in cut:
        data = long(1) if isinstance(short, list) else bytes(length)
        file = header(record("int", short)) + block(1, long(3) + data)
        code = Code.BLOCK_COUNT_WRONG if isinstance(short, str) else Code.DATA_CUT_OFF
        yield f"{short} cut off", file, code
    wide = header(record("double")) + block(2, bytes(15))
    yield "second double cut off", wide, Code.BLOCK_COUNT_WRONG
    late = header(record(["null", "double"])) + block(2, long(1) + bytes(7))
    yield "branch cut off", late, Code.DATA_CUT_OFF


def _collections() -> Iterator[Entry]:
    for name, schema, item in (
        ("array", {"type": "array", "items": "long"}, long(1)),
        ("map", {"type": "map", "values": "long"}, text("k") + long(1)),
    ):
        for count in (3, *HUGE):
            yield f"{name} of {count}", one(schema, long(count) + item), Code.ITEM_COUNT_WRONG
        yield f"{name} without end", one(schema, long(1) + item), Code.DATA_CUT_OFF
        yield f"{name} of the least count", one(schema, long(-(2**63)) + long(0) + long(0)), Code.ITEM_COUNT_WRONG
        for size in {len(item) + 1, len(item) - 1, 0}:
            yield f"{name} of false size {size}", one(schema, items(item, size=size, sized=True)), Code.ITEMS_SIZE_WRONG
        for size in (-1, 1000, *HUGE):
            yield f"{name} of size {size}", one(schema, items(item, size=size, sized=True)), Code.ITEMS_SIZE_WRONG
        yield f"overlong count of {name}", one(schema, overlong(1) + item + long(0)), Code.VARINT_OVERLONG
        yield f"rest behind {name}", one(schema, items(item) + long(0)), Code.DATA_LEFT_OVER
    yield "map key not UTF-8", one({"type": "map", "values": "int"}, items(text(b"\xff") + long(1))), Code.UTF8_INVALID
    linked = record("int", ["null", "R"])
    for depth in (65, 66, 5000, 200_000):
        data = (long(7) + long(1)) * (depth - 1) + long(7) + long(0)
        yield f"linked list of {depth}", header(linked) + block(1, data), Code.DATUM_TOO_DEEP
    tree = record({"type": "array", "items": "R"})
    yield "tree of 65", header(tree) + block(1, long(1) * 64 + long(0) * 65), Code.DATUM_TOO_DEEP
    yield "tree of 100,000", header(tree) + block(1, long(1) * 100_000), Code.DATUM_TOO_DEEP
    maps = record({"type": "map", "values": "R"})
    yield "maps of 65", header(maps) + block(1, (long(1) + text("k")) * 64 + long(0) * 65), Code.DATUM_TOO_DEEP


def _logical() -> Iterator[Entry]:
    def decimal(precision: int, **more: object) -> dict[str, Any]:
        return {"type": "bytes", "logicalType": "decimal", "precision": precision, **more}

    for precision, value in (
        (2, 100),
        (2, -100),
        (2, 2**40),
        (5, 100_000),
        (18, 10**18),
        (20, -(10**20)),
        (40, 10**40),
    ):
        length = value.bit_length() // 8 + 1
        yield (
            f"{value} of {precision} digits",
            one(decimal(precision), text(value.to_bytes(length, "big", signed=True))),
            Code.DECIMAL_PRECISION,
        )
        fixed = decimal(precision, type="fixed", name="F", size=32)
        yield (
            f"fixed {value} of {precision} digits",
            one(fixed, value.to_bytes(32, "big", signed=True)),
            Code.DECIMAL_PRECISION,
        )
    yield "decimal of no bytes", one(decimal(5), text(b"")), Code.DECIMAL_EMPTY
    yield "decimal of a mebibyte", one(decimal(5), text(b"\x01" + bytes(1 << 20))), Code.DECIMAL_PRECISION
    yield "decimal whose padding hides a sign", one(decimal(2), text(b"\x00\xff")), Code.DECIMAL_PRECISION
    yield "decimal of 1,001 digits", header(record(decimal(1001))), Code.SCHEMA_PRECISION_TOO_LARGE
    yield "decimal of 10^18 digits", header(record(decimal(10**18))), Code.SCHEMA_PRECISION_TOO_LARGE
    uuid = {"type": "string", "logicalType": "uuid"}
    good = "123e4567-e89b-12d3-a456-426614174000"
    for wrong in (
        "",
        "x",
        good[:-1],
        good + "0",
        good.replace("-", ""),
        good.replace("1", "g"),
        good.replace("-", ":"),
        "{" + good[1:-1] + "}",
    ):
        yield f"uuid {wrong!r}", one(uuid, text(wrong)), Code.UUID_INVALID
    for type_, logical, most in (("int", "time-millis", 86_400_000), ("long", "time-micros", 86_400_000_000)):
        for value in (-1, most, 10**9 * 90, -(2**31)):
            yield f"{logical} {value}", one({"type": type_, "logicalType": logical}, long(value)), Code.TIME_RANGE
    yield (
        "double cut off in a list",
        one({"type": "array", "items": "double"}, long(1) + double(1)[:7]),
        Code.ITEM_COUNT_WRONG,
    )
