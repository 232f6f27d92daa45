"""Invalid schemas. Each function yields names, files and the codes of their findings."""

from collections.abc import Iterator
from typing import Any

from avrogate import Code
from support.avro.encoding import (
    block,
    header,
    long,
    one,
    record,
)

Entry = tuple[str, bytes, Code]


def schemas() -> Iterator[Entry]:
    """Yield invalid texts, types and attributes."""
    for name, schema in {
        "empty": "",
        "open": "{",
        "trailing": '"int" x',
        "single quotes": "{'type':'int'}",
        "byte order mark": "\ufeff" + '"int"',
        "NaN": '{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":NaN}]}',
        "Infinity": (
            '{"type":"record","name":"R","fields":[{"name":"a","type":"double","default":-Infinity}]}'
        ),
        "comment": '/* */ "int"',
        "control character": '"in\tt"',
        "5,000 digits": '{"type":"fixed","name":"F","size":' + "9" * 5000 + "}",
        "open string": '"' + '\\"' * 50_000,
    }.items():
        yield f"schema text {name}", header(schema), Code.SCHEMA_NOT_JSON
    yield "schema not UTF-8", header(b'"in\xfft"'), Code.SCHEMA_NOT_JSON
    yield "schema in UTF-16", header('"int"'.encode("utf-16")), Code.SCHEMA_NOT_JSON
    yield (
        "key twice in the schema",
        header('{"type":"int","type":"long"}'),
        Code.SCHEMA_DUPLICATE_KEY,
    )
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
    yield (
        "fields no array",
        header({"type": "record", "name": "R", "fields": {}}),
        Code.SCHEMA_ATTRIBUTE_INVALID,
    )
    yield (
        "field no object",
        header({"type": "record", "name": "R", "fields": ["a"]}),
        Code.SCHEMA_ATTRIBUTE_INVALID,
    )
    order = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "int", "order": "sideways"}],
    }
    yield "unknown order", header(order), Code.SCHEMA_ATTRIBUTE_INVALID
    order["fields"] = [{"name": "a", "type": "int", "order": []}]
    yield "order no text", header(order), Code.SCHEMA_ATTRIBUTE_INVALID
    yield (
        "symbols a text",
        header(record({"type": "enum", "name": "E", "symbols": "AB"})),
        Code.SCHEMA_ATTRIBUTE_INVALID,
    )
    yield "aliases a text", header(record("int", aliases="Old")), Code.SCHEMA_ATTRIBUTE_INVALID
    foreign = record(
        "int", __named_schemas={"X": {"type": "fixed", "size": -1}}, __fastavro_parsed__=True
    )
    yield "types for fastavro to trust", header(foreign), Code.SCHEMA_ATTRIBUTE_INVALID


def names() -> Iterator[Entry]:
    """Yield invalid names of types, fields and symbols."""
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
    yield (
        "name of 100,000 letters",
        header(record("int", name="A" * 100_000)),
        Code.SCHEMA_NAME_TOO_LONG,
    )
    yield "namespace with a space", header(record("int", namespace="a b")), Code.SCHEMA_NAME_INVALID
    yield "namespace a number", header(record("int", namespace=7)), Code.SCHEMA_ATTRIBUTE_INVALID
    yield "alias a number", header(record("int", aliases=[7])), Code.SCHEMA_ATTRIBUTE_INVALID
    for name in ("", "a.b", "1", "a b"):
        field = {"type": "record", "name": "R", "fields": [{"name": name, "type": "int"}]}
        yield f"field name {name!r}", header(field), Code.SCHEMA_NAME_INVALID
    alias = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "a", "type": "int", "aliases": [None]}],
    }
    yield "field alias null", header(alias), Code.SCHEMA_ATTRIBUTE_INVALID
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


def structures() -> Iterator[Entry]:
    """Yield invalid unions and defaults, and schemas that expand."""
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
        ("float", "nan"), ("double", "inf"), ("double", "+Infinity"), ("int", "NaN"),
        (["null", "double"], "nan"),
        ("int", "1"), ("int", 2**31), ("int", 1.5), ("int", True), ("long", 2**63),
        ("string", 5), ("null", 0),
        ("boolean", 1), ("double", "1"), ("bytes", "\u0100"), (["null", "int"], "x"), (fixed, "a"),
        ({"type": "array", "items": "int"}, ["x"]), ({"type": "map", "values": "int"}, {"a": None}),
        (record("int", name="I"), {}), ({"type": "enum", "name": "E", "symbols": ["A"]}, "B"),
    ):  # fmt: skip
        schema = {
            "type": "record",
            "name": "R",
            "fields": [{"name": "a", "type": type_, "default": default}],
        }
        yield f"default {default!r} of {type_}", header(schema), Code.SCHEMA_DEFAULT_INVALID
    yield "a record in itself", header(record("R")) + block(1, b""), Code.SCHEMA_ENDLESS
    yield "a record in its second field", header(record("int", "R")), Code.SCHEMA_ENDLESS
    yield "two records in each other", header(record(record("R", name="S"))), Code.SCHEMA_ENDLESS
    yield "itself beside a union", header(record(["null", "R"], "R")), Code.SCHEMA_ENDLESS
    nested: Any = record("R", name="Last")
    for number in range(15):
        nested = record(nested, name=f"N{number}")
    yield "a circle of 17", header(record(nested)), Code.SCHEMA_ENDLESS
    empty = {"type": "record", "name": "E", "fields": []}
    nulls = record("null", "null", name="N")
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
        yield (
            f"2^40 {leaf}",
            header({"type": "record", "name": "R", "fields": fields}),
            Code.SCHEMA_EXPANSION,
        )
    yield (
        "fixed of 513 MiB",
        header(record({"type": "fixed", "name": "F", "size": 513 << 20})),
        Code.SCHEMA_EXPANSION,
    )
    yield (
        "fixed of 2^62",
        header(record({"type": "fixed", "name": "F", "size": 2**62})),
        Code.SCHEMA_EXPANSION,
    )
    for top in ('"null"', '"int"', '"string"', '["null"]', '{"type":"array","items":"int"}'):
        yield f"top {top}", header(top), Code.SCHEMA_NOT_A_RECORD
