"""
Write the sample files beside this script, the same bytes every time.

`python examples/samples/write_samples.py`.

The values are made up.
"""

import io
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import fastavro

_HERE: Final = Path(__file__).parent
_START: Final = datetime(2026, 1, 5, 6, 30, tzinfo=UTC)
_RECORDS: Final = 48


def blood_glucose(dice: random.Random) -> Iterator[dict[str, Any]]:
    """A day of a continuous sensor, a value every half hour."""
    for number in range(_RECORDS):
        yield {
            "measured_at": _START + timedelta(minutes=30 * number),
            "milligrams_per_decilitre": round(dice.gauss(105, 18), 1),
            "specimen": "INTERSTITIAL",
            "relation_to_meal": dice.choice([None, "FASTING", "BEFORE", "AFTER"]),
            "device": {
                "manufacturer": "Example Medical",
                "model": "CGM-2",
                "serial_hash": bytes(range(16)),
            },
            "note": None if number % 12 else "sensor changed",
        }


def heart_rate(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Stretches of a run, one every 15 seconds."""
    for number in range(_RECORDS):
        rate = int(dice.gauss(128, 9))
        yield {
            "started_at": _START + timedelta(seconds=15 * number),
            "beats_per_minute": rate,
            "rr_intervals_milliseconds": [int(dice.gauss(60000 / rate, 12)) for _ in range(8)],
            "contact": True,
            "activity": "running" if number % 4 else None,
        }


def wearable(dice: random.Random) -> Iterator[dict[str, Any]]:
    """Samples of a watch, one a second."""
    for number in range(_RECORDS):
        yield {
            "sample_id": str(UUID(int=dice.getrandbits(128), version=4)),
            "sampled_at": _START + timedelta(seconds=number),
            "steps": dice.randint(0, 3),
            "skin_temperature_celsius": dice.choice([None, 32.5, 33.25]),
            "acceleration": {axis: dice.randint(-64, 64) / 32 for axis in "xyz"},
            "reading": dice.choice(
                [None, dice.randint(0, 1000), dice.randint(0, 64) / 4, "warming up"]
            ),
            "battery_percent": 97 - number // 8,
            "tags": {"wrist": "left"},
        }


SAMPLES: Final[dict[str, tuple[str, Callable[[random.Random], Iterator[dict[str, Any]]]]]] = {
    "BloodGlucoseRecord": ("deflate", blood_glucose),
    "HeartRateRecord": ("null", heart_rate),
    "WearableSample": ("snappy", wearable),
}


def sample(record_type: str) -> bytes:
    """The bytes of one sample file: dice and sync marker are fixed, so they never change."""
    schema = json.loads(
        files("healthingest_contract").joinpath("schemas", f"{record_type}.avsc").read_text("utf-8")
    )
    codec, records = SAMPLES[record_type]
    content = io.BytesIO()
    dice = random.Random(record_type)  # noqa: S311 - made-up values
    fastavro.writer(
        content, schema, records(dice), codec=codec, sync_marker=record_type.encode().ljust(16)[:16]
    )
    return content.getvalue()


if __name__ == "__main__":
    for name in SAMPLES:
        (_HERE / f"{name}.avro").write_bytes(sample(name))
