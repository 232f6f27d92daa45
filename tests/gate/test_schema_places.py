"""Findings about a schema have a place: a JSON pointer, and the nearest valid name."""

import json
from typing import Any

import pytest

from avrogate import Cause, Code, Finding, explain
from support.avro.encoding import header, record
from support.avro.validating import findings

SECRET = "Anna Müller"


def _finding(schema: object) -> Finding:
    (finding,) = findings(header(schema))
    return finding


def _fields(*fields: dict[str, Any], **attributes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    return {"type": "record", "name": "R", "namespace": "x.y", "fields": list(fields), **attributes}


A = {"name": "a", "type": "int"}
ENUM = {"type": "enum", "name": "E", "symbols": ["A", "B"]}


@pytest.mark.parametrize(
    ("schema", "code", "pointer", "nearest"),
    [
        (_fields(A, name=SECRET), Code.SCHEMA_NAME_INVALID, "/name", "a"),
        (_fields(name=SECRET), Code.SCHEMA_NAME_INVALID, "/name", None),
        (_fields(A, namespace=SECRET), Code.SCHEMA_NAME_INVALID, "/namespace", "a"),
        (_fields(A, name="int"), Code.SCHEMA_NAME_INVALID, "/name", "a"),
        (_fields(A, {**A, "name": SECRET}), Code.SCHEMA_NAME_INVALID, "/fields/1/name", "x.y.R"),
        (_fields({"name": "b", "type": ["null", {**ENUM, "name": SECRET}]}),
         Code.SCHEMA_NAME_INVALID, "/fields/0/type/1/name", "x.y.R.b"),
        (_fields({"name": "b", "type": {**ENUM, "symbols": ["A", SECRET]}}),
         Code.SCHEMA_NAME_INVALID, "/fields/0/type/symbols/1", "x.y.E"),
        ({**ENUM, "name": SECRET}, Code.SCHEMA_NAME_INVALID, "/name", "A"),
        (_fields(A, {**A, "type": "long"}), Code.SCHEMA_FIELD_DUPLICATE,
         "/fields/1/name", "x.y.R.a"),
        ({**ENUM, "symbols": ["A", "B", "A"]}, Code.SCHEMA_SYMBOL_DUPLICATE, "/symbols/2", "E.A"),
        (_fields({"name": "b", "type": ENUM},
                 {"name": "c", "type": {"type": "map", "values": ENUM}}),
         Code.SCHEMA_NAME_REDEFINED, "/fields/1/type/values/name", "x.y.E"),
        (_fields({**A, "order": SECRET}), Code.SCHEMA_ATTRIBUTE_INVALID,
         "/fields/0/order", "x.y.R.a"),
        (_fields({**A, "order": {}}), Code.SCHEMA_ATTRIBUTE_INVALID, "/fields/0/order", "x.y.R.a"),
        (_fields({**A, "default": SECRET}), Code.SCHEMA_DEFAULT_INVALID,
         "/fields/0/default", "x.y.R.a"),
        (_fields({"name": "b", "type": SECRET}), Code.SCHEMA_TYPE_UNKNOWN,
         "/fields/0/type", "x.y.R.b"),
        (_fields({"name": "b"}), Code.SCHEMA_ATTRIBUTE_MISSING, "/fields/0", "x.y.R.b"),
        (_fields(A, aliases=[7]), Code.SCHEMA_ATTRIBUTE_INVALID, "/aliases/0", "x.y.R"),
        ({"type": "array"}, Code.SCHEMA_ATTRIBUTE_MISSING, "", None),
        ([record("int"), record("int")], Code.SCHEMA_NAME_REDEFINED, "/1/name", "R"),
    ],
)  # fmt: skip
def test_the_place_is_told(schema: object, code: Code, pointer: str, nearest: str | None) -> None:
    """Also at top level. A finding never contains text of the file."""
    finding = _finding(schema)
    assert (finding.code, finding.pointer, finding.nearest_name) == (code, pointer, nearest)
    assert SECRET not in str(finding) + str(explain(finding))


@pytest.mark.parametrize(
    ("text", "pointer", "nearest"),
    [
        ('{"type":"record","name":"R","type":"record","fields":[]}', "/type", "R"),
        ('{"type":"record","name":"R","fields":[{"name":"a","name":"b","type":"int"}]}',
         "/fields/0/name", "R"),
        (('{"type":"record","name":"R","fields":[{"name":"a","type":'
         '{"type":"int","x y":1,"x y":2}}]}'),
         "/fields/0/type", "R.a"),
        ('{"type":"record","name":"R","fields":[],"Anna":{"doc":1,"doc":2}}', "", "R"),
        ('{"name":"","name":"","type":"record","fields":[{"name":"a","type":"int"}]}',
         "/name", "a"),
        ('[{"type":"int","type":"int"},{"name":1,"name":2}]', "/0/type", None),
    ],
)  # fmt: skip
def test_a_key_that_stands_twice_is_told(text: str, pointer: str, nearest: str | None) -> None:
    """
    The first repeated key in the text has a finding.

    If it is not a key of the specification, the finding has only its place.
    """
    finding = _finding(text)
    assert (finding.code, finding.pointer, finding.nearest_name) == (
        Code.SCHEMA_DUPLICATE_KEY,
        pointer,
        nearest,
    )


def test_a_pointer_is_not_endless() -> None:
    """A long pointer ends at an enclosing place; a long path is cut off."""
    nested: Any = {"type": "array"}
    for number in range(60):
        nested = {
            "type": "record",
            "name": f"R{number}",
            "fields": [{"name": "a" * 100, "type": nested}],
        }
    finding = _finding(nested)
    assert finding.pointer == "/fields/0/type" * 60
    assert finding.path == ("a" * 100 + ".") * 10 + "a" * 14
    deep = _finding('{"type":' * 250 + '{"doc":1,"doc":2}' + "}" * 250)
    assert (finding.code, deep.pointer) == (Code.SCHEMA_ATTRIBUTE_MISSING, "/type" * 204)


def test_the_empty_name_that_polars_writes_has_its_remedy() -> None:
    """
    `DataFrame.write_avro` without `name` writes the record name "".

    The remedy names the argument.
    """
    polars = {"type": "record", "name": "", "fields": [{"name": "rate", "type": ["null", "long"]}]}
    finding = _finding(json.dumps(polars))
    assert (finding.code, finding.pointer, finding.nearest_name) == (
        Code.SCHEMA_NAME_INVALID,
        "/name",
        "rate",
    )
    assert finding.cause is Cause.EMPTY_RECORD_NAME
    assert "write_avro(name=" in explain(finding).remedy
    assert _finding(_fields({**A, "name": ""})).cause is None
