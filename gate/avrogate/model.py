"""
A parsed schema, as frozen values. Terms as in the Avro specification 1.12.

A named type is written out once, where it is defined; everywhere else stands a `Reference`, so that
no value contains itself however recursive the schema is.
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
    """One of `PRIMITIVES`; `logical` only where its values must be checked."""

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
    """Values of one type, under strings."""

    values: "Type"


@dataclass(frozen=True, slots=True)
class Union:
    """One of several types; never directly another union."""

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
    """One of `symbols`; a reader takes `default` for a symbol that it does not know."""

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
    """Fields in their order. `word` is "record" or, in a protocol, "error"."""

    name: str
    fields: tuple[Field, ...]
    word: str = "record"
    aliases: frozenset[str] = frozenset()


Named = Fixed | Enum | Record
Type = Primitive | Reference | Array | Map | Union | Fixed | Enum | Record


@dataclass(frozen=True, slots=True)
class Schema:
    """A whole schema: its outermost type, and every named type under its full name."""

    root: Type
    names: Mapping[str, Named]

    def resolve(self, type_: Type) -> Type:
        """The type itself, or the one that it refers to."""
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
    """The name without its namespace."""
    return full_name.rpartition(".")[2]
