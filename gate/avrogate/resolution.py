"""
Checks that a reader schema can read all data of a writer schema.

Avro specification 1.12, "Schema Resolution". As in Apache's `SchemaCompatibility`, every branch of
a writer's union and every symbol of a writer's enum counts, even if the file does not use it.
"""

from collections.abc import Iterable
from typing import Final

from avrogate.model import (
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Named,
    Primitive,
    Record,
    Schema,
    Type,
    Union,
    short_name,
)
from avrogate.results import Code, Finding

_PROMOTIONS: Final = {
    "int": {"int", "long", "float", "double"},
    "long": {"long", "float", "double"},
    "float": {"float", "double"},
    "string": {"string", "bytes"},
    "bytes": {"bytes", "string"},
}

_MAX_DEPTH: Final = 100
"""
The largest nesting of compared pairs of types.

Two schemas of 64 levels need less, unless one is built to be endless.
"""
_MAX_PAIRS: Final = 100_000

Path = tuple[str, ...]


def obstacle(writer: Schema, reader: Schema) -> Finding | None:
    """
    Return why *reader* cannot read data of *writer*, with the path of the field.

    None if it can.
    """
    return _Comparison(writer, reader).types(writer.root, reader.root, ())


class _Comparison:
    """
    Compares two schemas, which may be recursive.

    A pair of types that is being compared counts as fitting when it is reached again.
    """

    def __init__(self, writer: Schema, reader: Schema) -> None:
        self._writer = writer
        self._reader = reader
        self._fitting: dict[tuple[int, int], None] = {}  # in the order of their comparison
        self._failed: dict[tuple[int, int], Finding] = {}
        self._depth = 0
        self._pairs = 0

    def types(self, writer: Type, reader: Type, path: Path) -> Finding | None:
        """Return why *reader* cannot read *writer*, or None."""
        writer = self._writer.resolve(writer)
        reader = self._reader.resolve(reader)
        key = (id(writer), id(reader))  # both live as long as the schemas
        if key in self._fitting or key in self._failed:
            return self._failed.get(key)
        if self._depth == _MAX_DEPTH or self._pairs == _MAX_PAIRS:
            return _finding(Code.READER_TYPE_DIFFERS, path)
        self._fitting[key] = None
        self._pairs += 1
        self._depth += 1
        found = self._compare(writer, reader, path)
        self._depth -= 1
        if found is not None:
            while self._fitting and next(reversed(self._fitting)) != key:
                self._fitting.popitem()  # its result may depend on this pair
            self._fitting.popitem()
            self._failed[key] = found
        return found

    # PLR0911: one for each kind of type
    def _compare(self, writer: Type, reader: Type, path: Path) -> Finding | None:  # noqa: PLR0911
        match writer, reader:
            case Union(branches), _:
                return _first(self.types(branch, reader, path) for branch in branches)
            case _, Union(branches):
                return self._branch(writer, branches, path)
            case Primitive(kind), Primitive(wanted) if _is_promotable(kind, wanted):
                return None
            case Array(items), Array(wanted_items):
                return self.types(items, wanted_items, path)
            case Map(values), Map(wanted_values):
                return self.types(values, wanted_values, path)
            case ((Fixed() | Enum() | Record()), (Fixed() | Enum() | Record())):
                return self._named(writer, reader, path)
        return _finding(Code.READER_TYPE_DIFFERS, path)

    def _branch(self, writer: Type, branches: tuple[Type, ...], path: Path) -> Finding | None:
        fits = any(self.types(writer, branch, path) is None for branch in branches)
        return None if fits else _finding(Code.READER_BRANCH_MISSING, path)

    def _named(self, writer: Named, reader: Named, path: Path) -> Finding | None:
        if type(writer) is not type(reader):
            return _finding(Code.READER_TYPE_DIFFERS, path)
        if not _same_name(writer, reader):
            return _finding(Code.READER_NAME_DIFFERS, path)
        match writer, reader:
            case Fixed(size=size), Fixed(size=wanted) if size != wanted:
                return _finding(Code.READER_SIZE_DIFFERS, path)
            case Enum(symbols=symbols), Enum(symbols=known, default=None) if not set(
                symbols
            ) <= set(known):
                return _finding(Code.READER_SYMBOL_MISSING, path)
            case Record(fields=written), Record(fields=fields):
                by_name = {field.name: field for field in written}
                return _first(self._field(by_name, field, path) for field in fields)
        return None

    def _field(self, written: dict[str, Field], field: Field, path: Path) -> Finding | None:
        here = (*path, field.name)
        for name in (field.name, *sorted(field.aliases)):
            if name in written:
                return self.types(written[name].type, field.type, here)
        return None if field.has_default else _finding(Code.READER_FIELD_WITHOUT_DEFAULT, here)


def _is_promotable(kind: str, wanted: str) -> bool:
    return kind == wanted or wanted in _PROMOTIONS.get(kind, ())


def _same_name(writer: Named, reader: Named) -> bool:
    short = short_name(writer.name)
    return (
        short == short_name(reader.name) or writer.name in reader.aliases or short in reader.aliases
    )


def _first(findings: Iterable[Finding | None]) -> Finding | None:
    return next((finding for finding in findings if finding is not None), None)


def _finding(code: Code, path: Path) -> Finding:
    return Finding(code, path=".".join(path) or None)
