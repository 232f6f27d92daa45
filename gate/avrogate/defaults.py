"""
Checks that the defaults of fields are values of their types.

Avro specification 1.12, "Complex Types", "Records".
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from avrogate.model import Array, Enum, Field, Fixed, Map, Primitive, Record, Schema, Type, Union
from avrogate.place import Place
from avrogate.results import Code

_MAX_BYTE: Final = 0xFF
_NO_NUMBERS: Final = frozenset({"NaN", "Infinity", "-Infinity"})
"""How Java's library writes defaults that are not JSON numbers."""
_BITS: Final = {"int": 31, "long": 63}


@dataclass(frozen=True, slots=True)
class Default:
    """The default `value` of a field of `type`, declared at `place`."""

    place: Place
    type: Type
    value: Any


def check_defaults(schema: Schema, defaults: list[Default]) -> None:
    """
    Check *defaults* after all types of *schema* are known.

    Raises:
        RefusedError: SCHEMA_DEFAULT_INVALID for the first wrong default.
    """
    checker = _Checker(schema)
    for default in defaults:
        if not checker.fits(default.type, default.value):
            raise default.place.refusal(Code.SCHEMA_DEFAULT_INVALID)


class _Checker:
    """
    Checks each pair of a type and a value once.

    Without this memory, nested unions of records would take 2^n steps.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._known: dict[tuple[int, int], bool] = {}

    def fits(self, type_: Type, value: Any) -> bool:  # noqa: ANN401 - from JSON
        """
        Whether *value* is the JSON form of a value of *type_*.

        It recurses no deeper than the JSON text.
        """
        resolved = self._schema.resolve(type_)
        key = (id(resolved), id(value))  # both live as long as the schema is parsed
        if key not in self._known:
            self._known[key] = self._compute(resolved, value)
        return self._known[key]

    def _compute(self, type_: Type, value: Any) -> bool:  # noqa: ANN401 - from JSON
        match type_:
            case Union(branches):
                return any(self.fits(branch, value) for branch in branches)
            case Array(items):
                return isinstance(value, list) and self._all_fit(items, value)
            case Map(values):
                return isinstance(value, dict) and self._all_fit(values, value.values())
            case Record(fields=fields):
                return isinstance(value, dict) and all(
                    self._field_fits(field, value) for field in fields
                )
        return _fits_leaf(type_, value)

    def _all_fit(self, type_: Type, values: Iterable[Any]) -> bool:
        return all(self.fits(type_, value) for value in values)

    def _field_fits(self, field: Field, record: dict[str, Any]) -> bool:
        if field.name in record:
            return self.fits(field.type, record[field.name])
        return field.has_default


def _fits_leaf(type_: Type, value: Any) -> bool:  # noqa: ANN401 - from JSON
    """Whether *value* is the JSON form of a value of *type_*, which contains no other type."""
    match type_:
        case Primitive(kind):
            return _fits_primitive(kind, value)
        case Enum(symbols=symbols):
            return isinstance(value, str) and value in symbols
        case Fixed(size=size):
            return _is_bytes(value) and len(value) == size
    return False


def _fits_primitive(kind: str, value: Any) -> bool:  # noqa: ANN401 - from JSON
    match kind:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "int" | "long":
            bound = 1 << _BITS[kind]
            return type(value) is int and -bound <= value < bound
        case "float" | "double":
            return type(value) in {int, float} or (isinstance(value, str) and value in _NO_NUMBERS)
        case "bytes":
            return _is_bytes(value)
    return isinstance(value, str)


def _is_bytes(value: Any) -> bool:  # noqa: ANN401 - from JSON
    """Whether *value* is the JSON form of bytes: characters from 0 to 255."""
    return isinstance(value, str) and all(ord(character) <= _MAX_BYTE for character in value)
