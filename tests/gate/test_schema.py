"""Which schemas are valid, and how they are read."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import avrogate
from avrogate import Code, Policy, RefusedError, canonical_form, obstacle, opcodes, parse_schema
from support.avro.encoding import block, file_of, header, items, long, one, record, text
from support.avro.validating import codes, findings, validate
from support.avro.working import memory_of, work_of


def _parse(schema: object, policy: Policy | None = None) -> str:
    return canonical_form(parse_schema(json.dumps(schema).encode(), policy or Policy()))


def _code(schema: object, policy: Policy | None = None) -> tuple[Code, str | None] | None:
    try:
        _parse(schema, policy)
    except RefusedError as refused:
        return refused.findings[0].code, refused.findings[0].path
    return None


def _field(type_: object, **more: object) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": [{"name": "a", "type": type_, **more}]}


def test_the_numbers_of_the_compiled_form_are_those_of_the_source() -> None:
    """`walker.pxd` repeats the numbers of `opcodes.py`, because C cannot import Python."""
    text_ = Path(avrogate.__file__).with_name("walker.pxd").read_text()
    repeated = {
        name: int(value)
        for name, value in re.findall(r"^    ([A-Z_]+) = (\d+)$", text_, re.MULTILINE)
    }
    numbers = {
        name: value
        for name, value in vars(opcodes).items()
        if name.isupper() and isinstance(value, int)
    }
    assert repeated == numbers


def test_canonical_forms_of_the_specification() -> None:
    """Names are full, unneeded attributes are removed, order and primitives are normalised."""
    schema = {
        "namespace": "a.b", "doc": "x", "aliases": ["Old"], "type": "record", "fields": [
            {"default": 1, "type": {"type": "int"}, "name": "n"},
            {"name": "f", "type": {"size": 4, "type": "fixed", "name": "F", "namespace": ""}},
            {"name": "g", "type": "F", "order": "ignore"},
            {
                "name": "e",
                "type": ["null", {"type": "enum", "symbols": ["X"], "name": "c.E", "default": "X"}],
            },
            {"name": "d", "type": {"type": "c.E"}},
        ], "name": "R",
    }  # fmt: skip
    assert _parse(schema) == (
        '{"name":"a.b.R","type":"record","fields":[{"name":"n","type":"int"},'
        '{"name":"f","type":{"name":"F","type":"fixed","size":4}},{"name":"g","type":"F"},'
        '{"name":"e","type":["null",{"name":"c.E","type":"enum","symbols":["X"]}]},{"name":"d","type":"c.E"}]}'
    )


@pytest.mark.parametrize(
    "schema",
    [
        _field("int", default=-(2**31)),
        _field(["null", "int"], default=5),
        _field(["int", "null"], default=None),
        _field({"type": "array", "items": "string"}, default=["a"]),
        _field({"type": "map", "values": "long"}, default={"a": 1}),
        _field("bytes", default="\u00ff"),
        _field("double", default=1),
        _field(record("int", name="I"), default={"a": 1}),
        _field({"type": "fixed", "name": "F", "size": 0}),
        _field({"type": "map", "values": "null"}),
        _field(["null", "R"]),
        _field({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 5}),
        _field({"type": "bytes", "logicalType": "decimal"}),
        _field(
            {"type": "fixed", "name": "F", "size": 2, "logicalType": "decimal", "precision": 10**18}
        ),
        _field({"type": "int", "logicalType": "uuid"}),
        _field({"type": "string", "logicalType": ["date"]}),
        {"type": "error", "name": "E", "fields": []},
        record("int", namespace=""),
        record("int", namespace=None),
        record("int", aliases=["a/b", "../../etc/passwd", "", "näme", "A" * 300, "Old", "x.Old"]),
        {
            "type": "record",
            "name": "R",
            "fields": [{"name": "a", "type": "int", "aliases": ["x y", "a.b", "old"]}],
        },
        *(
            _field(type_, default=value)
            for type_ in ("float", "double")
            for value in ("NaN", "Infinity", "-Infinity")
        ),
        _field(["double", "null"], default="NaN"),
        _field({"type": "array", "items": "float"}, default=["Infinity", 1, 1.5]),
        _field(["null", record("B", name="B")]),
        _field({"type": "array", "items": record("int", "B", name="B")}),
        _field({"type": "map", "values": record(record("B", name="C"), name="B")}),
        _field(["null", record(record("B", name="C"), name="B")], default=None),
    ],
)
def test_a_valid_schema_passes(schema: object) -> None:
    """A schema with an invalid logical type is valid too: the logical type is ignored."""
    assert _code(schema) is None


def test_aliases_that_are_no_names_are_left_out() -> None:
    """They can match nothing; other aliases of the same type are kept."""
    schema = _schema(record("int", aliases=["a/b", "Old", "x y"], namespace="n"))
    assert schema.names["n.R"].aliases == {"n.Old"}


@pytest.mark.parametrize("size", [2**62, 2**31, 8193])
def test_a_decimal_of_a_huge_fixed_is_refused_at_once(size: int) -> None:
    """Its bounds would have as many bytes, and each value would be kept in memory."""
    huge = {"type": "fixed", "name": "F", "size": size, "logicalType": "decimal", "precision": 5}
    assert _code(_field(huge)) == (Code.SCHEMA_PRECISION_TOO_LARGE, "a")
    assert memory_of(header(_field(huge))).peak_bytes < 1 << 20
    assert _code(_field({**huge, "size": 8192})) is None


def test_a_record_that_need_not_occur_may_be_endless() -> None:
    """Data without the record is accepted. Data that claims to contain it is refused."""
    endless = record("B", name="B")
    union = ["null", endless]
    array = {"type": "array", "items": endless}
    map_ = {"type": "map", "values": endless}
    assert validate(one(union, long(0))).record_count == 1
    assert codes(one(union, long(1))) == [Code.DATUM_TOO_DEEP]
    assert validate(one(array, long(0))).record_count == 1
    assert codes(one(array, long(1) + long(0))) == [Code.ITEM_COUNT_WRONG]
    assert validate(one(map_, long(0))).record_count == 1
    assert codes(one(map_, items(text("k")))) == [Code.ITEM_COUNT_WRONG]
    code, work = work_of(one(["null", record("int", "B", name="B")], long(1) + long(5) * 10_000))
    assert (code, work.steps) == (Code.DATUM_TOO_DEEP, 2)
    nowhere = Policy(records_only=False, max_datum_depth=1000)
    assert codes(header([endless, "null"]) + block(1, long(0)), nowhere) == [Code.DATUM_TOO_DEEP]
    assert codes(header(endless), nowhere) == [Code.SCHEMA_ENDLESS]


def test_findings_tell_the_path_of_fields() -> None:
    """Names are joined by dots; arrays, maps and unions add nothing."""
    inner = {
        "type": "record",
        "name": "I",
        "fields": [{"name": "deep", "type": ["null", {"type": "array"}]}],
    }
    assert _code(_field({"type": "map", "values": inner})) == (
        Code.SCHEMA_ATTRIBUTE_MISSING,
        "a.deep",
    )


def test_defaults_are_checked_in_time_that_does_not_explode() -> None:
    """For nested unions of records, each pair of type and value is checked once."""
    pair = [
        "null",
        record(["null", "int", record(["null", "string", "A", "B"], name="B"), "A"], name="A"),
        "B",
    ]
    value: Any = True
    for _ in range(60):
        value = {"a": value}
    assert _code(_field(pair, default=value)) == (Code.SCHEMA_DEFAULT_INVALID, "a")


def test_a_chain_of_thousands_of_records_is_no_recursion_for_us() -> None:
    """Definitions that use the previous one: three levels of JSON, a thousand nested records."""
    fields = [{"name": "f0", "type": record("int", name="A0")}]
    fields += [
        {"name": f"f{number}", "type": record(["null", f"A{number - 1}"], name=f"A{number}")}
        for number in range(1, 1000)
    ]
    schema = {"type": "record", "name": "R", "fields": fields}
    data = long(5) + long(0) * 999
    assert validate(file_of(schema, [(1, data)])).record_count == 1


def test_paths_lead_through_called_records() -> None:
    """The path of an invalid value deep in a recursive record is complete."""
    schema = {
        "type": "record",
        "name": "N",
        "fields": [{"name": "ok", "type": "boolean"}, {"name": "next", "type": ["null", "N"]}],
    }
    data = b"\x01" + long(1) + b"\x01" + long(1) + b"\x09" + long(0)
    assert [(finding.code, finding.path) for finding in findings(file_of(schema, [(1, data)]))] == [
        (Code.BOOLEAN_INVALID, "next.next.ok")
    ]


def test_what_only_looks_wrong_passes() -> None:
    """Sized and repeated blocks of items, padded decimals, empty records, four-byte characters."""
    array = {"type": "array", "items": "long"}
    blocks = (
        long(-2)
        + long(2)
        + long(1) * 2
        + long(1)
        + long(5)
        + long(-1)
        + long(1)
        + long(9)
        + long(0)
    )
    decimal = {"type": "bytes", "logicalType": "decimal", "precision": 2}
    empty = {"type": "record", "name": "R", "fields": []}
    assert not codes(one(array, blocks))
    assert not codes(one({"type": "map", "values": "null"}, items(text("k"), text("k2"))))
    assert not codes(one(decimal, text(b"\xff" * 9 + b"\x9d")))
    assert not codes(one("string", text("\0\u07ff\uffff\U0010ffff")))
    assert not codes(header(empty) + block(10_000, b""))


def test_policies_have_codes_of_their_own() -> None:
    """Each violated rule of a policy has its code: record types, fingerprints, calendar, sizes."""
    good = file_of(record("int", name="clinic.R"), [(2, long(1) * 2)])
    mark = validate(good).schema_fingerprint
    assert codes(good, Policy(record_types=frozenset({"Other"}))) == [Code.RECORD_TYPE_NOT_ALLOWED]
    assert not codes(good, Policy(record_types=frozenset({"R"})))
    assert not codes(good, Policy(record_types=frozenset({"clinic.R"})))
    assert codes(good, Policy(fingerprints=frozenset())) == [Code.SCHEMA_NOT_ALLOWED]
    assert not codes(good, Policy(fingerprints=frozenset({mark})))
    assert codes(good, Policy(max_inflated_bytes=1, max_inflated_per_byte=0)) == [
        Code.FILE_INFLATES_TOO_LARGE
    ]
    assert codes(good, Policy(max_records=1)) == [Code.TOO_MANY_RECORDS]
    assert codes(good, Policy(max_steps=0, max_steps_per_byte=0)) == [Code.TOO_MANY_STEPS]
    years = Policy(calendar_years_only=True)
    for type_, logical, least, most in (
        ("int", "date", -719_162, 2_932_896),
        ("long", "timestamp-millis", -62_135_596_800_000, 253_402_300_799_999),
        ("long", "local-timestamp-micros", -62_135_596_800_000_000, 253_402_300_799_999_999),
    ):
        schema = {"type": type_, "logicalType": logical}
        assert not codes(one(schema, long(most)), years)
        assert not codes(one(schema, long(least)), years)
        assert codes(one(schema, long(most + 1)), years) == [Code.CALENDAR_RANGE]
        assert codes(one(schema, long(least - 1)), years) == [Code.CALENDAR_RANGE]
        assert not codes(one(schema, long(most + 1)))
    assert (
        validate(
            header('["null","int"]') + block(1, long(0)), Policy(records_only=False)
        ).record_type
        == ""
    )
    assert validate(header('"null"') + block(9, b""), Policy(records_only=False)).record_count == 9


def _obstacle(writer: object, reader: object) -> tuple[str, str | None] | None:
    finding = obstacle(_schema(writer), _schema(reader))
    return (finding.code, finding.path) if finding else None


def _schema(value: object) -> avrogate.Schema:
    return parse_schema(json.dumps(value).encode(), Policy())


ENUM_AB = {"type": "enum", "name": "E", "symbols": ["A", "B"]}
ENUM_A = {"type": "enum", "name": "E", "symbols": ["A"]}


@pytest.mark.parametrize(
    ("writer", "reader"),
    [
        (_field("int"), _field("double")),
        (_field("int"), _field("long")),
        (_field("long"), _field("float")),
        (_field("string"), _field("bytes")),
        (_field("bytes"), _field("string")),
        (_field("int"), _field(["null", "long"])),
        (_field(["int", "long"]), _field("long")),
        (_field(["null", "int"]), _field(["long", "null"])),
        (_field("int"), {"type": "record", "name": "R", "fields": []}),
        (record(), _field("int", default=1)),
        (record("int", name="x.R"), record("int", name="y.R")),
        (record("int", name="Old"), record("int", aliases=["Old"])),
        (
            _field("int"),
            {
                "type": "record",
                "name": "R",
                "fields": [{"name": "b", "type": "int", "aliases": ["a"]}],
            },
        ),
        (_field(ENUM_AB), _field({**ENUM_A, "default": "A"})),
        (_field(ENUM_A), _field(ENUM_AB)),
        (_field(["null", "R"]), _field(["null", "R"])),
        (_field({"type": "array", "items": "int"}), _field({"type": "array", "items": "long"})),
        (_field({"type": "map", "values": "int"}), _field({"type": "map", "values": "long"})),
    ],
)
def test_a_reader_can_read(writer: object, reader: object) -> None:
    """
    Avro 1.12, "Schema Resolution".

    Promotions, unions, defaults, aliases, names without namespaces.
    """
    assert _obstacle(writer, reader) is None


@pytest.mark.parametrize(
    ("writer", "reader", "code", "path"),
    [
        (_field("long"), _field("int"), Code.READER_TYPE_DIFFERS, "a"),
        (_field("double"), _field("float"), Code.READER_TYPE_DIFFERS, "a"),
        (_field("int"), _field(ENUM_A), Code.READER_TYPE_DIFFERS, "a"),
        (_field(["null", "int"]), _field("int"), Code.READER_TYPE_DIFFERS, "a"),
        (_field("string"), _field(["null", "int"]), Code.READER_BRANCH_MISSING, "a"),
        (record(), _field("int"), Code.READER_FIELD_WITHOUT_DEFAULT, "a"),
        (record("int", name="S"), record("int"), Code.READER_NAME_DIFFERS, None),
        (_field(ENUM_AB), _field(ENUM_A), Code.READER_SYMBOL_MISSING, "a"),
        (
            _field({"type": "fixed", "name": "F", "size": 1}),
            _field({"type": "fixed", "name": "F", "size": 2}),
            Code.READER_SIZE_DIFFERS,
            "a",
        ),
        (
            _field({"type": "array", "items": "string"}),
            _field({"type": "array", "items": "int"}),
            Code.READER_TYPE_DIFFERS,
            "a",
        ),
        (
            record(["null", "R"], "string"),
            record(["null", "R"], "int"),
            Code.READER_TYPE_DIFFERS,
            "b",
        ),
    ],
)
def test_a_reader_cannot_read(writer: object, reader: object, code: Code, path: str | None) -> None:
    """The finding has the field that prevents it."""
    assert _obstacle(writer, reader) == (code, path)


def test_what_an_allowed_reader_can_read_passes() -> None:
    """If no reader schema can read the data, the finding of the closest reader is added."""
    readers = (_schema(record("string", name="Other")), _schema(record("long", "int")))
    policy = Policy(fingerprints=frozenset(), readers=readers)
    file = file_of(record("int"), [(1, long(1))])
    assert [(finding.code, finding.path) for finding in findings(file, policy)] == [
        (Code.SCHEMA_NOT_ALLOWED, None),
        (Code.READER_FIELD_WITHOUT_DEFAULT, "b"),
    ]
    assert not codes(file_of(record("int", "int"), [(1, long(1) * 2)]), policy)


def test_resolving_schemas_made_to_be_endless_ends() -> None:
    """A thousand records of one short name are compared with a recursive reader."""
    fields = [{"name": "f0", "type": record("int", name="n0.L")}]
    fields += [
        {"name": f"f{number}", "type": record(["null", f"n{number - 1}.L"], name=f"n{number}.L")}
        for number in range(1, 1000)
    ]
    writer = {"type": "record", "name": "R", "fields": fields}
    reader = {
        "type": "record",
        "name": "R",
        "fields": [{"name": "f999", "type": record(["null", "int", "L"], name="L")}],
    }
    assert _obstacle(writer, reader) is not None
