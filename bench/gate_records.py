"""The records for measuring the gate: data of wearables, and types that are hard to validate."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Kind:
    """Records of one kind."""

    name: str
    schema: Any
    row: Callable[[random.Random, int], Row]


def _record(name: str, **fields: object) -> dict[str, Any]:
    return {
        "type": "record",
        "name": name,
        "fields": [{"name": key, "type": type_} for key, type_ in fields.items()],
    }


_MILLIS: Final = {"type": "long", "logicalType": "timestamp-millis"}
_WORDS: Final = (
    "resting",
    "walking",
    "running",
    "after meal",
    "fasting",
    "sensor loose",
    "naïve",
    "Übung",
    "calibrated",
)


def _wearable(random_: random.Random, number: int) -> Row:
    return {
        "at": 1_700_000_000_000 + number * 1000 + random_.randrange(1000),
        "heart_rate": random_.randrange(45, 190),
        "steps": random_.randrange(0, 300),
        "temperature": random_.uniform(35, 39),
        "device": f"watch-{random_.randrange(10**6):06d}",
        "motion": random_.choice(["still", "walking", "running"]),
        "glucose": random_.uniform(60, 200) if random_.random() < 0.5 else None,
        "charging": random_.random() < 0.1,
    }


def _strings(random_: random.Random, number: int) -> Row:
    return {
        key: " ".join(random_.choices(_WORDS, k=random_.randrange(1, 9))) for key in "abcde"
    } | {"f": str(number)}


def _unions(random_: random.Random, number: int) -> Row:
    values: list[Any] = [None, number, random_.random(), "text", True]
    return {key: random_.choice(values) for key in "abcdefgh"}


def _nested(random_: random.Random, number: int) -> Row:
    def sample() -> Row:
        return {
            "offset": random_.randrange(5000),
            "value": {"x": random_.random(), "unit": "mmol"},
            "flags": [1, 2, 3],
        }

    return {
        "id": number,
        "samples": [sample() for _ in range(random_.randrange(6))],
        "tags": {"site": "left", "k": "v"},
    }


def _signals(random_: random.Random, number: int) -> Row:
    return {
        "at": 1_700_000_000_000 + number * 1000,
        "millivolts": [random_.gauss(0, 0.3) for _ in range(32)],
        "steps": [random_.randrange(-300, 300) for _ in range(16)],
    }


def _decimals(random_: random.Random, number: int) -> Row:
    return {
        "a": Decimal(random_.randrange(10**9)).scaleb(-2),
        "b": -Decimal(random_.randrange(10**17)).scaleb(-4),
        "c": Decimal(number).scaleb(-2),
    }


def _decimal(precision: int, scale: int, **more: object) -> dict[str, Any]:
    return {
        "type": "bytes",
        "logicalType": "decimal",
        "precision": precision,
        "scale": scale,
        **more,
    }


_ANY: Final = ["null", "long", "double", "string", "boolean"]
KINDS: Final = (
    Kind(
        "wearable",
        _record(
            "Wearable",
            at=_MILLIS,
            heart_rate="int",
            steps="int",
            temperature="double",
            device="string",
            motion={"type": "enum", "name": "Motion", "symbols": ["still", "walking", "running"]},
            glucose=["null", "double"],
            charging="boolean",
        ),
        _wearable,
    ),
    Kind("strings", _record("Strings", **dict.fromkeys("abcdef", "string")), _strings),
    Kind("unions", _record("Unions", **dict.fromkeys("abcdefgh", _ANY)), _unions),
    Kind(
        "nested",
        _record(
            "Nested",
            id="long",
            samples={
                "type": "array",
                "items": _record(
                    "Sample",
                    offset="int",
                    value=_record("Value", x="double", unit="string"),
                    flags={"type": "array", "items": "int"},
                ),
            },
            tags={"type": "map", "values": "string"},
        ),
        _nested,
    ),
    Kind(
        "signals",
        _record(
            "Signals",
            at=_MILLIS,
            millivolts={"type": "array", "items": "double"},
            steps={"type": "array", "items": "int"},
        ),
        _signals,
    ),
    Kind(
        "decimals",
        _record(
            "Decimals",
            a=_decimal(12, 2),
            b=_decimal(20, 4),
            c=_decimal(14, 2, type="fixed", name="Amount", size=8),
        ),
        _decimals,
    ),
)
