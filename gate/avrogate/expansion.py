"""
The least cost of a datum of each type: bytes, and schema nodes that a reader visits.

A record contains its inner records in every datum, so their sizes add up: n records that each use
the previous one twice have 2^n parts. A union, array or map takes at least one byte of input each
time, so the sum ends there. Every recursion that can end goes through one of them.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from avrogate.model import Array, Fixed, Primitive, Record, Reference, Schema, Type, inner_types
from avrogate.policy import Policy
from avrogate.results import Code, Finding, RefusedError

_WIDTHS: Final = {"null": 0, "float": 4, "double": 8}


@dataclass(frozen=True, slots=True)
class Cost:
    """
    The least cost of one datum.

    `width` is in bytes, `weight` in schema nodes, `height` in nested records.
    """

    width: int
    weight: int = 1
    height: int = 0


_ONE_BYTE: Final = Cost(1)
ENDLESS: Final = Cost(width=1 << 31, weight=1 << 31)
"""
The cost of a record that must contain itself.

No datum of it exists: its width is larger than any block.
"""


class Costs:
    """The cost of every type of a schema."""

    def __init__(self, records: Mapping[str, Cost], schema: Schema) -> None:
        self._records = records
        self._schema = schema

    def of(self, type_: Type) -> Cost:
        """Return the cost of *type_*; for a record with all its fields."""
        resolved = self._schema.resolve(type_)
        match resolved:
            case Primitive(kind):
                return Cost(_WIDTHS.get(kind, 1))
            case Fixed(size=size):
                return Cost(size)
            case Record(name):
                return self._records.get(name, ENDLESS)
        return _ONE_BYTE

    def is_endless(self, type_: Type) -> bool:
        """Whether *type_* must contain itself, so that no datum of it can exist."""
        return self.of(type_) is ENDLESS


def costs_of(schema: Schema) -> Costs:
    """
    Return the costs of all types.

    Inner records are computed before the records that contain them. There is no recursion, because
    a chain of records can be thousands long. Records that cannot be computed are endless.
    """
    records = {name: type_ for name, type_ in schema.names.items() if isinstance(type_, Record)}
    contents = {name: _inside(record, schema) for name, record in records.items()}
    missing = {name: len(inside) for name, inside in contents.items()}
    users = _users(contents)
    found: dict[str, Cost] = {}
    costs = Costs(found, schema)
    ready = [name for name, count in missing.items() if count == 0]
    while ready:
        name = ready.pop()
        found[name] = _sum(records[name], costs)
        for user in users[name]:
            missing[user] -= 1
            if missing[user] == 0:
                ready.append(user)
    return costs


def check_expansion(schema: Schema, policy: Policy) -> None:
    """
    Refuse a schema whose data can grow without input.

    An endless record is refused only as the root. Below a union, array or map it can be absent.

    Raises:
        RefusedError: SCHEMA_ENDLESS, SCHEMA_EXPANSION or SCHEMA_ZERO_WIDTH_ITEMS.
    """
    costs = costs_of(schema)
    if costs.is_endless(schema.root):
        raise RefusedError(Finding(Code.SCHEMA_ENDLESS))
    for type_ in (schema.root, *schema.names.values()):
        if _is_too_large(costs.of(type_), policy):
            raise RefusedError(Finding(Code.SCHEMA_EXPANSION))
    for type_, path in _types_with_paths(schema):
        if isinstance(type_, Array) and costs.of(type_.items).width == 0:
            raise RefusedError(Finding(Code.SCHEMA_ZERO_WIDTH_ITEMS, path=".".join(path) or None))


def _is_too_large(cost: Cost, policy: Policy) -> bool:
    return cost is not ENDLESS and (
        cost.width > policy.max_inflated_block_bytes or cost.weight > policy.max_expansion
    )


def _types_with_paths(schema: Schema) -> Iterator[tuple[Type, tuple[str, ...]]]:
    """Yield the types written out in the schema, without the primitive fields, and their paths."""
    waiting: list[tuple[Type, tuple[str, ...]]] = [(schema.root, ())]
    while waiting:
        type_, path = waiting.pop()
        yield type_, path
        if isinstance(type_, Record):
            waiting.extend(
                (field.type, (*path, field.name))
                for field in type_.fields
                if not isinstance(field.type, Primitive)
            )
        else:
            waiting.extend((inner, path) for inner in inner_types(type_))


def _users(contents: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return for each record the records that contain it, as often as they do."""
    users: dict[str, list[str]] = {name: [] for name in contents}
    for name, inside in contents.items():
        for part in inside:
            users[part].append(name)
    return users


def _inside(record: Record, schema: Schema) -> list[str]:
    """Return the records that every *record* contains, each as often as it occurs."""
    return [
        field.type.name
        for field in record.fields
        if isinstance(field.type, Record | Reference)
        and isinstance(schema.names[field.type.name], Record)
    ]


def _sum(record: Record, costs: Costs) -> Cost:
    parts_ = [costs.of(field.type) for field in record.fields]
    return Cost(
        width=sum(part.width for part in parts_),
        weight=1 + sum(part.weight for part in parts_),
        height=1 + max((part.height for part in parts_), default=0),
    )
