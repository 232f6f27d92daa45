"""Valid files, and files with small changes. They depend on a seed, so a failure is repeatable."""

from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, Final

from support.avro.encoding import CODECS, double, file_of, items, long, overlong, text

_UUID: Final = "123e4567-e89b-12d3-a456-426614174000"
EVERYTHING: Final[dict[str, Any]] = {
    "type": "record",
    "name": "Everything",
    "namespace": "clinic.records",
    "fields": [
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "time", "type": {"type": "int", "logicalType": "time-millis"}},
        {"name": "rate", "type": "int", "default": 5},
        {"name": "ok", "type": "boolean"},
        {"name": "value", "type": ["null", "double", "string"], "default": None},
        {"name": "kind",
         "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B", "C"], "default": "A"}},
        {"name": "id", "type": {"type": "string", "logicalType": "uuid"}},
        {"name": "price",
         "type": {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}},
        {"name": "mark", "type": {"type": "fixed", "name": "Mark", "size": 3}},
        {"name": "tags", "type": {"type": "map", "values": ["int", "Kind"]}},
        {"name": "next", "type": ["null", "Everything"]},
        {"name": "rows",
         "type": {"type": "array", "items": {"type": "record", "name": "Row", "fields": [
            {"name": "x", "type": "float"}, {"name": "y", "type": "long"}]}}},
    ],
}  # fmt: skip


def everything(random: Random, depth: int = 2) -> bytes:
    """Return a record of `EVERYTHING`."""
    value = random.choice(
        (long(0), long(1) + double(1.5), long(2) + text("äb€😀" * random.randrange(3)))
    )
    tags = [
        text(f"k{n}") + random.choice((long(0) + long(n), long(1) + long(n % 3)))
        for n in range(random.randrange(3))
    ]
    rows = [double(1)[4:] + long(random.randrange(10**12)) for _ in range(random.randrange(4))]
    more = long(1) + everything(random, depth - 1) if depth and random.random() < 0.5 else long(0)
    return b"".join((
        long(random.randrange(2**41)), long(random.randrange(86_400_000)),
        long(random.randrange(-300, 300)),
        bytes([random.randrange(2)]), value, long(random.randrange(3)), text(_UUID),
        text(random.randrange(-99_999, 100_000).to_bytes(3, "big", signed=True)), b"abc",
        items(*tags, sized=random.random() < 0.5), more, items(*rows, sized=random.random() < 0.5),
    ))  # fmt: skip


@cache
def seeds() -> tuple[bytes, ...]:
    """
    Return valid files.

    One for each codec, and "null" twice more, because its records can be changed directly.
    """
    random = Random(1)  # noqa: S311 - the same every time
    return tuple(
        file_of(
            EVERYTHING,
            [(2, everything(random) + everything(random)), (1, everything(random))],
            codec,
        )
        for codec in ("null", "null", *CODECS)
    )


def mutants(seed: int, number: int) -> Iterator[bytes]:
    """Yield *count* files, each a valid one with one to three changes."""
    random = Random(seed)  # noqa: S311 - the same every time
    for _ in range(number):
        file = random.choice(seeds())
        for _ in range(random.choice((1, 1, 1, 2, 3))):
            file = _changed(random, file)
        yield file


def _changed(random: Random, file: bytes) -> bytes:
    at = random.randrange(len(file) + 1)
    # Half of the changes hit what follows the schema.
    at = random.randrange(len(file) // 2, len(file) + 1) if random.random() < 0.5 else at
    end = min(len(file), at + random.choice((0, 1, 1, 1, 2, 4, 16)))
    piece = file[at:end]
    match random.randrange(8):
        case 0:
            piece = bytes(byte ^ 1 << random.randrange(8) for byte in piece)
        case 1:
            piece = random.randbytes(len(piece))
        case 2:
            piece = b""
        case 3:
            piece += random.randbytes(random.choice((1, 1, 2, 8)))
        case 4:
            piece = long(
                random.choice((0, 1, -1, 2**31, -(2**63), 2**63 - 1, random.randrange(-100, 1000)))
            )
        case 5:
            piece = overlong(random.randrange(4), random.randrange(1, 12))
        case 6:
            piece *= 2
        case _:
            return (
                file[:at]
                if random.random() < 0.2
                else file[:at] + file[random.randrange(len(file) or 1) :]
            )
    return file[:at] + piece + file[end:]
