"""Invalid records. Each function yields names, files and the codes of their findings."""

from collections.abc import Iterator
from typing import Any, Final

from avrogate import Code
from support.avro.encoding import (
    block,
    double,
    header,
    items,
    long,
    one,
    overlong,
    record,
    text,
)

HUGE: Final = (2**40, 2**62, 2**63 - 1)
Entry = tuple[str, bytes, Code]


def values() -> Iterator[Entry]:
    """Yield invalid values of single types."""
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
    yield (
        "symbol of none",
        one({"type": "enum", "name": "E", "symbols": []}, long(0)),
        Code.ENUM_INDEX,
    )
    for type_ in ("string", "bytes"):
        yield f"{type_} of length -1", one(type_, long(-1)), Code.LENGTH_NEGATIVE
        yield f"{type_} of least length", one(type_, long(-(2**63))), Code.LENGTH_NEGATIVE
        for length in (5, *HUGE):
            yield (
                f"{type_} of length {length}",
                one(type_, long(length) + b"abcd"),
                Code.LENGTH_BEYOND_BLOCK,
            )
        yield f"overlong length of {type_}", one(type_, overlong(1) + b"a"), Code.VARINT_OVERLONG
        yield f"rest behind {type_}", one(type_, text("a") + b"b"), Code.DATA_LEFT_OVER
    for wrong in (
        b"\x80", b"\xbf", b"\xc0\x80", b"\xc1\xbf", b"\xc2", b"\xc2\x41", b"\xe0\x80\x80",
        b"\xe0\x9f\xbf",
        b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xe2\x82", b"\xe2\x82\x41", b"\xf0\x80\x80\x80",
        b"\xf0\x8f\xbf\xbf", b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xf0\x9f\x98",
        b"\xf0\x9f\x98\x41",
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


def collections() -> Iterator[Entry]:
    """Yield invalid arrays, maps and nested records."""
    for name, schema, item in (
        ("array", {"type": "array", "items": "long"}, long(1)),
        ("map", {"type": "map", "values": "long"}, text("k") + long(1)),
    ):
        for count in (3, *HUGE):
            yield f"{name} of {count}", one(schema, long(count) + item), Code.ITEM_COUNT_WRONG
        yield f"{name} without end", one(schema, long(1) + item), Code.DATA_CUT_OFF
        yield (
            f"{name} of the least count",
            one(schema, long(-(2**63)) + long(0) + long(0)),
            Code.ITEM_COUNT_WRONG,
        )
        for size in {len(item) + 1, len(item) - 1, 0}:
            yield (
                f"{name} of false size {size}",
                one(schema, items(item, size=size, sized=True)),
                Code.ITEMS_SIZE_WRONG,
            )
        for size in (-1, 1000, *HUGE):
            yield (
                f"{name} of size {size}",
                one(schema, items(item, size=size, sized=True)),
                Code.ITEMS_SIZE_WRONG,
            )
        yield (
            f"overlong count of {name}",
            one(schema, overlong(1) + item + long(0)),
            Code.VARINT_OVERLONG,
        )
        yield f"rest behind {name}", one(schema, items(item) + long(0)), Code.DATA_LEFT_OVER
    for name, type_, wrong, code in (
        ("overlong long", "long", overlong(1), Code.VARINT_OVERLONG),
        ("endless long", "long", b"\xff" * 12, Code.VARINT_TOO_LONG),
        ("int of 40 bits", "int", long(2**40), Code.INT_RANGE),
    ):
        listed = long(6) + long(1) * 2 + wrong + long(300) * 3 + long(0)
        yield f"{name} among others", one({"type": "array", "items": type_}, listed), code
    yield (
        "map key not UTF-8",
        one({"type": "map", "values": "int"}, items(text(b"\xff") + long(1))),
        Code.UTF8_INVALID,
    )
    linked = record("int", ["null", "R"])
    for depth in (65, 66, 5000, 200_000):
        data = (long(7) + long(1)) * (depth - 1) + long(7) + long(0)
        yield f"linked list of {depth}", header(linked) + block(1, data), Code.DATUM_TOO_DEEP
    tree = record({"type": "array", "items": "R"})
    yield "tree of 65", header(tree) + block(1, long(1) * 64 + long(0) * 65), Code.DATUM_TOO_DEEP
    yield "tree of 100,000", header(tree) + block(1, long(1) * 100_000), Code.DATUM_TOO_DEEP
    maps = record({"type": "map", "values": "R"})
    yield (
        "maps of 65",
        header(maps) + block(1, (long(1) + text("k")) * 64 + long(0) * 65),
        Code.DATUM_TOO_DEEP,
    )


def logical() -> Iterator[Entry]:
    """Yield invalid values of logical types."""

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
    yield (
        "decimal of a mebibyte",
        one(decimal(5), text(b"\x01" + bytes(1 << 20))),
        Code.DECIMAL_PRECISION,
    )
    yield (
        "decimal of 1 with 5,000 bytes before",
        one(decimal(5), text(bytes(5000) + b"\x01")),
        Code.DECIMAL_PRECISION,
    )
    yield (
        "decimal whose padding hides a sign",
        one(decimal(2), text(b"\x00\xff")),
        Code.DECIMAL_PRECISION,
    )
    yield "decimal of 1,001 digits", header(record(decimal(1001))), Code.SCHEMA_PRECISION_TOO_LARGE
    yield (
        "decimal of 10^18 digits",
        header(record(decimal(10**18))),
        Code.SCHEMA_PRECISION_TOO_LARGE,
    )
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
    for type_, logical, most in (
        ("int", "time-millis", 86_400_000),
        ("long", "time-micros", 86_400_000_000),
    ):
        for value in (-1, most, 10**9 * 90, -(2**31)):
            yield (
                f"{logical} {value}",
                one({"type": type_, "logicalType": logical}, long(value)),
                Code.TIME_RANGE,
            )
    yield (
        "double cut off in a list",
        one({"type": "array", "items": "double"}, long(1) + double(1)[:7]),
        Code.ITEM_COUNT_WRONG,
    )
