"""Hypothesis strategies for schemas and data that other writers can write."""

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from itertools import count
from typing import Any

from hypothesis import strategies as st

Draw = Callable[..., Any]
Pair = tuple[Any, st.SearchStrategy[Any]]

_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
_PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "float": st.floats(width=32),
    "double": st.floats(),
    "bytes": st.binary(max_size=40),
    "string": _TEXT,
}
_UTC = st.just(dt.UTC)
_LOGICAL: list[tuple[dict[str, Any], st.SearchStrategy[Any]]] = [
    ({"type": "int", "logicalType": "date"}, st.dates()),
    ({"type": "int", "logicalType": "time-millis"}, st.times()),
    ({"type": "long", "logicalType": "time-micros"}, st.times()),
    ({"type": "long", "logicalType": "timestamp-millis"}, st.datetimes(timezones=_UTC)),
    ({"type": "long", "logicalType": "timestamp-micros"}, st.datetimes(timezones=_UTC)),
    ({"type": "string", "logicalType": "uuid"}, st.uuids(version=4)),
    (
        {"type": "bytes", "logicalType": "decimal", "precision": 12, "scale": 3},
        st.integers(-(10**12) + 1, 10**12 - 1).map(lambda value: Decimal(value).scaleb(-3)),
    ),
    ({"type": "int", "logicalType": "unheard-of"}, _PRIMITIVES["int"]),
]


@st.composite
def files(draw: Draw, *, logical: bool) -> tuple[dict[str, Any], list[Any]]:
    """Return a record schema and some records; with *logical* types, or without."""
    names = (f"N{number}" for number in count())
    schema, data = _record(draw, names, 3, logical)
    return schema, draw(st.lists(data, min_size=0, max_size=8))


# ANN401: of many kinds
def _type(draw: Draw, names: Any, depth: int, logical: bool) -> Pair:  # noqa: ANN401, FBT001, PLR0911
    kinds = [*_PRIMITIVES, "enum", "fixed"] + ["logical"] * 2 * logical
    if depth:
        kinds += ["record", "array", "map", "union", "union"]
    match draw(st.sampled_from(kinds)):
        case "record":
            return _record(draw, names, depth - 1, logical)
        case "array":
            items, data = _record(draw, names, depth - 1, logical, least=1)
            return {"type": "array", "items": items}, st.lists(data, max_size=6)
        case "map":
            values, data = _type(draw, names, depth - 1, logical)
            return {"type": "map", "values": values}, st.dictionaries(_TEXT, data, max_size=3)
        case "union":
            other, data = _type(draw, names, 0, logical)
            if other == "null":
                other = "string"
                data = _TEXT
            branches = ["null", other] if draw(st.booleans()) else [other, "null"]
            return branches, st.none() | data
        case "enum":
            symbols = draw(
                st.lists(
                    st.from_regex(r"[A-Z_][A-Z0-9]{0,4}", fullmatch=True), min_size=1, unique=True
                )
            )
            return {"type": "enum", "name": next(names), "symbols": symbols}, st.sampled_from(
                symbols
            )
        case "fixed":
            size = draw(st.integers(1, 20))
            return {"type": "fixed", "name": next(names), "size": size}, st.binary(
                min_size=size, max_size=size
            )
        case "logical":
            pair: Pair = draw(st.sampled_from(_LOGICAL))
            return pair
        case kind:
            return kind, _PRIMITIVES[kind]


# ANN401: as above
def _record(draw: Draw, names: Any, depth: int, logical: bool, least: int = 0) -> Pair:  # noqa: ANN401, FBT001
    schema: dict[str, Any] = {"type": "record", "name": next(names), "fields": []}
    if draw(st.booleans()):
        schema["namespace"] = draw(st.sampled_from(["a", "a.b", "clinic.records"]))
    content = {}
    for number in range(draw(st.integers(least, 5))):
        type_, data = (
            ("long", _PRIMITIVES["long"]) if number < least else _type(draw, names, depth, logical)
        )
        schema["fields"].append({"name": f"f{number}", "type": type_})
        content[f"f{number}"] = data
    return schema, st.fixed_dictionaries(content)
