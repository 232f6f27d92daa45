"""Measures programs that read Avro files."""

import io
from collections.abc import Callable, Iterator
from typing import Final

from benchmarks.model import Row
from gate_records import KINDS
from series.sizes import Sizes

import gate

try:
    import polars as pl
except ModuleNotFoundError:  # heavy, so it is no dependency: `uv pip install polars`
    pl = None

GATE: Final = "Avro gate"


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each kind of records and program."""
    for kind in KINDS:
        file = gate.records_file(kind, "null", sizes.records)
        small = gate.records_file(kind, "null", gate.APACHE_RECORDS)
        yield Row(kind.name, GATE, _rate(lambda f=file: gate.read_by_gate(f), file, sizes.runs))
        yield Row(
            kind.name, "fastavro", _rate(lambda f=file: gate.read_by_fastavro(f), file, sizes.runs)
        )
        yield Row(kind.name, "Apache avro", _rate(lambda f=small: gate.read_by_apache(f), small, 3))
        yield Row(kind.name, "polars", _polars(file, sizes.runs))


def _rate(read: Callable[[], object], file: bytes, runs: int) -> dict[str, float | None]:
    size_bytes = sum(len(block) for block in gate.inflated_blocks(file))
    seconds, _ = gate.processor_seconds_of(read, runs)
    return {"mb_per_s": size_bytes / 1e6 / seconds}


def _polars(file: bytes, runs: int) -> dict[str, float | None]:
    """Return the speed of polars; None if it is not installed, or does not read this kind."""
    if pl is None:
        return {"mb_per_s": None}
    try:
        return _rate(lambda: pl.read_avro(io.BytesIO(file)), file, runs)
    # BLE001: an error of Rust has any class
    except BaseException:  # noqa: BLE001
        return {"mb_per_s": None}
