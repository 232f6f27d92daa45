"""Compiles a schema to the flat program that the walker runs; `opcodes` has the instructions."""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from avrogate import opcodes as op
from avrogate.expansion import Costs, costs_of
from avrogate.model import (
    Array,
    Decimal,
    Enum,
    Fixed,
    Logical,
    Map,
    Primitive,
    Range,
    Ranged,
    Record,
    Schema,
    Type,
    Union,
    Uuid,
)

_INLINE_WEIGHT: Final = 64
"""A record of at most this many nodes is inlined instead of called."""
_INLINE_HEIGHT: Final = 4
"""
A record is inlined only if its nesting is at most this.

This limits the compiler's recursion and the length of the program.
"""
_TOO_HIGH: Final = 1 << 31
"""
The nesting of an endless record: more than any policy allows, so the walker refuses it.
"""
_PRIMITIVES: Final = {
    "boolean": (op.BOOLEAN, 0),
    "int": (op.INT, 0),
    "long": (op.LONG, 0),
    "float": (op.SKIP, 4),
    "double": (op.SKIP, 8),
    "bytes": (op.BYTES, 0),
    "string": (op.STRING, 0),
}
_PLAIN: Final = frozenset({op.LONG, op.INT, op.SKIP})
"""Items that consist of one of these are read in one loop."""
_RANGE_FAULTS: Final = {Ranged.TIME: op.BAD_TIME, Ranged.CALENDAR: op.BAD_DATE}

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Program:
    """
    A compiled schema; `words` and `bounds` are for the walker.

    `paths` has the field path of each instruction, relative to its called record. `width` is the
    least size of a datum in bytes. `nesting` is the largest number of arrays and maps that are open
    at once in one record.
    """

    words: "array[int]"
    bounds: bytes
    paths: dict[int, Path]
    width: int
    nesting: int


def compile_schema(schema: Schema) -> Program:
    """Return the program of a schema that has passed `check_expansion`."""
    return _Compiler(schema).run()


class _Compiler:
    """
    Compiles the outermost type first, then each called record.

    Compiling a record may add further calls to the list.
    """

    def __init__(self, schema: Schema) -> None:
        self._schema = schema
        self._costs: Costs = costs_of(schema)
        self._words: array[int] = array("q")
        self._bounds = bytearray()
        self._decimals: dict[int, int] = {}
        self._paths: dict[int, Path] = {}
        self._starts: dict[str, int] = {}
        self._calls: list[tuple[int, str]] = []
        self._nesting = 0
        self._open: list[int] = []  # words that get the address of the next instruction

    def run(self) -> Program:
        """Return the program of everything that the outermost type refers to."""
        root = self._schema.resolve(self._schema.root)
        if isinstance(root, Record):
            self._record(root, (), 0, 0)
        else:
            self._type(root, (), 0, 0)
        self._put((), op.END)
        self._open.clear()
        for where, name in self._calls:  # the list grows during the loop
            if name not in self._starts:
                self._define(name)
            self._words[where] = self._starts[name]
        width = self._costs.of(root).width
        return Program(self._words, bytes(self._bounds), self._paths, width, self._nesting)

    def _define(self, name: str) -> None:
        record = self._schema.names[name]
        self._starts[name] = len(self._words)
        if isinstance(record, Record):
            self._record(record, (), 0, 0)
        self._put((), op.RETURN)
        self._open.clear()

    def _put(self, path: Path, opcode: int, a: int = 0, b: int = 0, c: int = 0) -> int:
        where = len(self._words)
        for word in self._open:
            self._words[word] = where
        self._words.extend((opcode, 0, a, b, c))
        self._open = [where + 1]
        self._paths[where] = path
        return where

    def _type(self, type_: Type, path: Path, depth: int, nesting: int) -> None:
        """Compile *type_*; *depth* counts open records, *nesting* open arrays and maps."""
        if self._costs.of(type_).width == 0:
            return  # nothing to read
        match self._schema.resolve(type_):
            case Primitive(kind, logical):
                opcode, size = _PRIMITIVES[kind]
                self._value(logical, path, opcode, size)
            case Fixed(size=size, logical=logical):
                self._value(logical, path, op.SKIP, size)
            case Enum(symbols=symbols):
                self._put(path, op.RANGED, 0, len(symbols) - 1, op.BAD_SYMBOL)
            case Array(items):
                self._repeat(items, path, depth, nesting)
            case Map(values):
                self._repeat(values, path, depth, nesting, key=True)
            case Union(branches):
                self._union(branches, path, depth, nesting)
            case Record() if self._costs.is_endless(type_):
                self._put(path, op.CALL, 0, 0, _TOO_HIGH)
            case Record(name):
                height = self._costs.of(type_).height - 1
                self._calls.append((self._put(path, op.CALL, 0, depth + 1, height) + 2, name))

    def _value(self, logical: Logical | None, path: Path, opcode: int, size: int) -> None:
        last = len(self._words) - op.WORDS
        match logical:
            case Range(kind, low, high):
                self._put(path, op.RANGED, low, high, _RANGE_FAULTS[kind])
            case Uuid():
                self._put(path, op.UUID)
            case Decimal(precision):
                where, length = self._bounds_of(precision)
                self._put(path, op.DECIMAL_FIXED if size else op.DECIMAL_BYTES, where, length, size)
            case None if (
                opcode == op.SKIP and self._open == [last + 1] and self._words[last] == op.SKIP
            ):
                self._words[last + 2] += size  # adjacent values of fixed size become one
            case None:
                self._put(path, opcode, size)

    def _bounds_of(self, precision: int) -> tuple[int, int]:
        greatest = 10**precision - 1
        length = greatest.bit_length() // 8 + 1
        if precision not in self._decimals:
            self._decimals[precision] = len(self._bounds)
            self._bounds += greatest.to_bytes(length, "big", signed=True)
            self._bounds += (-greatest).to_bytes(length, "big", signed=True)
        return self._decimals[precision], length

    def _record(self, record: Record, path: Path, depth: int, nesting: int) -> None:
        for field in record.fields:
            here = (*path, field.name)
            inner = self._schema.resolve(field.type)
            cost = self._costs.of(inner)
            if (
                isinstance(inner, Record)
                and cost.weight <= _INLINE_WEIGHT
                and cost.height <= _INLINE_HEIGHT
            ):
                self._record(inner, here, depth + 1, nesting)
            else:
                self._type(field.type, here, depth, nesting)

    def _repeat(
        self, type_: Type, path: Path, depth: int, nesting: int, *, key: bool = False
    ) -> None:
        self._nesting = max(self._nesting, nesting + 1)
        start = self._put(
            path, op.REPEAT, len(self._words) + op.WORDS, self._costs.of(type_).width + key
        )
        self._open.clear()
        if key:
            self._put(path, op.STRING)
        self._type(type_, path, depth, nesting + 1)
        plain = len(self._words) == start + 2 * op.WORDS and self._words[start + op.WORDS] in _PLAIN
        self._words[start + 4] = plain
        self._put(path, op.NEXT)
        self._open = [start + 1]

    def _union(self, branches: tuple[Type, ...], path: Path, depth: int, nesting: int) -> None:
        start = self._put(path, op.UNION, len(branches)) + op.WORDS
        self._words.extend((0, -1, 0xFF, 0) * len(branches))
        ends = []
        for index, branch in enumerate(branches):
            where = start + index * op.BRANCH_WORDS
            self._open = [where]
            self._type(branch, path, depth, nesting)
            ends.extend(self._open)
            if self._open == [where]:  # nothing to read
                self._words[where + 1] = 0
                ends.append(where + 3)
            elif self._open == [self._words[where] + 1]:  # one instruction
                ends.extend(self._fixed_branch(where))
        self._open = ends

    def _fixed_branch(self, where: int) -> Iterator[int]:
        """Give a branch of one value its size, if that is fixed; yield the word to be filled in."""
        instruction = self._words[where]
        match self._words[instruction]:
            case op.SKIP:
                self._words[where + 1] = self._words[instruction + 2]
            case op.BOOLEAN:
                self._words[where + 1] = 1
                self._words[where + 2] = 1
            case _:
                return
        yield where + 3
