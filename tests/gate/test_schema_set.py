"""Schema files that refer to each other, as projects publish them."""

import json
from itertools import permutations
from typing import Any

import pytest

from avrogate import (
    Policy,
    SchemaSetError,
    canonical_form,
    fingerprint,
    parse_schema,
    parse_schema_set,
)
from support.avro.encoding import record

METRIC = {
    "namespace": "org.sleep",
    "type": "record",
    "name": "Metric",
    "doc": "One // value, /* not a comment */.",
    "fields": [
        {"name": "value", "type": ["null", "double"], "default": None},
        {"name": "unit", "type": {"type": "enum", "name": "Unit", "symbols": ["MS", "PERCENT"]}},
    ],
}
NIGHT = {
    "namespace": "org.sleep",
    "type": "record",
    "name": "Night",
    "fields": [
        {"name": "onset", "type": "org.sleep.Metric"},
        {"name": "units", "type": {"type": "array", "items": "Unit"}},
        {"name": "latency", "type": ["null", "Metric"]},
    ],
}
UNITS = record("org.sleep.Unit", {"type": "map", "values": "org.sleep.Metric"}, name="Units")


def _files(**schemas: object) -> dict[str, bytes]:
    return {f"{name}.avsc": json.dumps(schema).encode() for name, schema in schemas.items()}


def _error(files: dict[str, bytes]) -> str:
    with pytest.raises(SchemaSetError) as error:
        parse_schema_set(files, Policy())
    return str(error.value)


def test_files_refer_to_each_other_in_any_order() -> None:
    """
    References lead to the type of a file, or to a type within it.

    Each schema equals one with the types written out at first use.
    """
    files = _files(metric=METRIC, night=NIGHT, units=UNITS)
    alone: dict[str, Any] = json.loads(json.dumps(NIGHT))
    alone["fields"][0]["type"] = METRIC
    expected = parse_schema(json.dumps(alone).encode(), Policy())
    for order in permutations(files):
        schemas = parse_schema_set({name: files[name] for name in order}, Policy())
        assert list(schemas) == list(order)
        assert canonical_form(schemas["night.avsc"]) == canonical_form(expected)
        assert set(schemas["units.avsc"].names) == {"Units", "org.sleep.Unit", "org.sleep.Metric"}


def test_files_may_refer_to_each_other_in_a_circle() -> None:
    """Through a union; each schema contains the definitions of both."""
    one = record(["null", "B"], name="A")
    other = record(["null", "A"], name="B")
    schemas = parse_schema_set(_files(a=one, b=other), Policy())
    alone = record(["null", other], name="A"), record(["null", one], name="B")
    expected = [parse_schema(json.dumps(schema).encode(), Policy()) for schema in alone]
    assert [fingerprint(schema) for schema in schemas.values()] == [
        fingerprint(schema) for schema in expected
    ]


def test_comments_and_a_byte_order_mark_are_passed_over() -> None:
    """As in Java's library. Text that looks like a comment within a string is kept."""
    text = json.dumps(METRIC).replace('"fields"', '// what it has\n /* fields: "{ */ "fields"', 1)
    schemas = parse_schema_set(
        {"a.avsc": b"\xef\xbb\xbf/* Apache-2.0 */" + text.encode() + b"// end"}, Policy()
    )
    assert fingerprint(schemas["a.avsc"]) == fingerprint(
        parse_schema(json.dumps(METRIC).encode(), Policy())
    )


def test_a_missing_type_is_named_with_its_file() -> None:
    """The error has its full name, and the place of the reference."""
    message = _error(_files(night=NIGHT, other=record("int")))
    assert message.startswith("night.avsc#/fields/0/type (org.sleep.Night.onset): ")
    assert "`org.sleep.Metric`" in message
    message = _error(
        _files(metric=record("Missing", name="M", namespace="q"), night=record("q.M", name="N"))
    )
    assert message.startswith("metric.avsc#/fields/0/type (q.M.a): ")
    assert "`q.Missing`" in message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        (b"{", "a.avsc line 1: "),
        (b'/* two\nlines */ {"type": // one\n  "record",\n oops}', "a.avsc line 4: "),
        (b'{"default": NaN}', "a.avsc: "),
        (b"\xff\xfe{", "a.avsc: "),
        (json.dumps(record("int", name="a b")).encode(), "a.avsc#/name (a): "),
        (b'{"type": "int", "type": "int"}', "a.avsc#/type: "),
    ],
)
def test_a_file_that_is_no_schema_is_named(text: bytes, place: str) -> None:
    """The error has the place in the file, the message and the remedy."""
    message = _error({"a.avsc": text, **_files(b=record("int"))})
    assert message.startswith(f"{place}no Avro schema: schema_")


def test_versions_of_one_record_are_schemas_of_their_own() -> None:
    """Two files may define the same name differently if no third file refers to it."""
    versions = _files(v1=record("int"), v2=record("long"))
    assert len(parse_schema_set(versions, Policy())) == 2
    message = _error({**versions, **_files(user=record("R", name="User"))})
    assert message.startswith("user.avsc: ")
    assert "defined differently in v1.avsc and v2.avsc" in message
    copies = _files(v1=record("int"), v2=record("int"), user=record("R", name="User"))
    assert len(parse_schema_set(copies, Policy())) == 3
