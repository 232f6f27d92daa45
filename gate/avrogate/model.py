"""
A parsed schema as frozen values, with the terms of the Avro specification 1.12.

A named type is written out once, where it is defined. Everywhere else there is a `Reference`, so no
value contains itself, even if the schema is recursive.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

PRIMITIVES: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "bytes", "string"}
)


class Ranged(StrEnum):
    """Logical types whose numbers have a range."""

    TIME = "time"
    CALENDAR = "calendar"


@dataclass(frozen=True, slots=True)
class Range:
    """A number from `low` to `high`, both included."""

    kind: Ranged
    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Decimal:
    """An unscaled value of at most `precision` digits."""

    precision: int
    scale: int


@dataclass(frozen=True, slots=True)
class Uuid:
    """Text of RFC 4122: 8-4-4-4-12 hexadecimal digits."""


Logical = Range | Decimal | Uuid


@dataclass(frozen=True, slots=True)
class Primitive:
    """One of `PRIMITIVES`; `logical` is set only if its values must be checked."""

    kind: str
    logical: Logical | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """The full name of a type that is defined elsewhere in the schema."""

    name: str


@dataclass(frozen=True, slots=True)
class Array:
    """Items of one type."""

    items: "Type"


@dataclass(frozen=True, slots=True)
class Map:
    """Values of one type by string key."""

    values: "Type"


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types, none of which is a union."""

    branches: tuple["Type", ...]


@dataclass(frozen=True, slots=True)
class Fixed:
    """`size` bytes."""

    name: str
    size: int
    logical: Logical | None = None
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Enum:
    """One of `symbols`; a reader replaces an unknown symbol with `default`."""

    name: str
    symbols: tuple[str, ...]
    default: str | None = None
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record."""

    name: str
    type: "Type"
    has_default: bool = False
    aliases: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Record:
    """Fields in their order. `word` is "record", or "error" in a protocol."""

    name: str
    fields: tuple[Field, ...]
    word: str = "record"
    aliases: frozenset[str] = frozenset()


Named = Fixed | Enum | Record
Type = Primitive | Reference | Array | Map | Union | Fixed | Enum | Record


@dataclass(frozen=True, slots=True)
class Schema:
    """A whole schema: its outermost type, and each named type by full name."""

    root: Type
    names: Mapping[str, Named]

    def resolve(self, type_: Type) -> Type:
        """Return *type_*, or the type that a reference names."""
        return self.names[type_.name] if isinstance(type_, Reference) else type_


def inner_types(type_: Type) -> Iterator[Type]:
    """Yield the types that are written directly in *type_*."""
    match type_:
        case Array(items):
            yield items
        case Map(values):
            yield values
        case Union(branches):
            yield from branches
        case Record(fields=fields):
            for field in fields:
                yield field.type


def short_name(full_name: str) -> str:
    """Return the name without its namespace."""
    return full_name.rpartition(".")[2]
