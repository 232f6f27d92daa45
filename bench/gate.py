"""
Measures the gate beside fastavro and Apache avro: `python bench/gate.py [--quick]`.

Everything runs on one core in one run, and ratios are printed, so the machine matters little. Each
row is a kind of record with a codec. It has the gate's MB/s of inflated data (median and spread),
the ratios to full reads by fastavro and Apache avro, the ratio to the codec library alone, and the
memory that a fresh process needs in addition.
"""

import argparse
import bz2
import io
import lzma
import multiprocessing
import random
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import avro.datafile
import avro.io
import cramjam
import fastavro
from backports import zstd
from gate_records import KINDS, Kind

from avrogate import Policy, check, compiled
from support.results import add_json_option, write_figures

CODECS: Final = ("null", "deflate", "snappy", "zstandard", "bzip2", "xz")
CHUNK_BYTES: Final = 1 << 16
TURNS: Final = 3
"""Gate and fastavro read in turn, because the speed of a shared machine changes."""
APACHE_RECORDS: Final = 2_000
"""Apache avro is so slow that more bytes would not make the figure more precise."""
APACHE_CODECS: Final = ("null", "deflate", "bzip2")
"""The codecs that Apache avro has without further packages."""

FIGURES: Final = ("mb_per_s", "spread", "times_fastavro", "times_apache", "of_codec", "memory_mib")


def records_file(kind: Kind, codec: str, records: int) -> bytes:
    """Return a file of so many records."""
    random_ = random.Random(7)  # noqa: S311 - the same file every time
    out = io.BytesIO()
    rows = (kind.row(random_, number) for number in range(records))
    fastavro.writer(out, kind.schema, rows, codec=codec, sync_interval=1 << 18)
    return out.getvalue()


def read_by_gate(file: bytes) -> int:
    """Validate a file; return its number of records."""
    chunks = (file[start : start + CHUNK_BYTES] for start in range(0, len(file), CHUNK_BYTES))
    return check(chunks, Policy()).record_count


def read_by_fastavro(file: bytes) -> int:
    """Read all records; return their number."""
    return sum(1 for _ in fastavro.reader(io.BytesIO(file)))


def read_by_apache(file: bytes) -> int:
    """Read all records with Apache avro; return their number."""
    return sum(1 for _ in avro.datafile.DataFileReader(io.BytesIO(file), avro.io.DatumReader()))


def inflated_blocks(file: bytes) -> list[bytes]:
    """Return the inflated content of each block."""
    blocks: Any = fastavro.block_reader(io.BytesIO(file))
    return [block.bytes_.getvalue() for block in blocks]


_LIBRARIES: Final[dict[str, tuple[Callable[[bytes], Any], Callable[[bytes], Any]]]] = {
    "deflate": (lambda data: zlib.compress(data)[2:-4], lambda data: zlib.decompress(data, -15)),
    "snappy": (cramjam.snappy.compress_raw, cramjam.snappy.decompress_raw),
    "zstandard": (zstd.compress, zstd.decompress),
    "bzip2": (bz2.compress, bz2.decompress),
    "xz": (lzma.compress, lzma.decompress),
}


def processor_seconds_of(action: Callable[[], object], runs: int) -> tuple[float, float]:
    """Return the median of processor times, and the interquartile range as a fraction of it."""
    return _median_and_spread([_processor_seconds(action) for _ in range(runs)])


def _processor_seconds(action: Callable[[], object]) -> float:
    before = time.process_time()
    action()
    return time.process_time() - before


def _median_and_spread(times: Sequence[float]) -> tuple[float, float]:
    low, middle, high = (
        statistics.quantiles(times, n=4, method="inclusive") if len(times) > 1 else [*times] * 3
    )
    return middle, (high - low) / middle


def _resident_kib() -> int:
    """Return the peak resident memory since `clear_refs` was written; Linux only."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def _peak(file: bytes, queue: Any) -> None:  # noqa: ANN401 - a queue of any context
    Path("/proc/self/clear_refs").write_text(
        "5", encoding="ascii"
    )  # proc(5): resets the peak to the present value
    before = _resident_kib()
    read_by_gate(file)
    queue.put((_resident_kib() - before) / 1024)


def _memory(file: bytes) -> float:
    """Return the MiB that a fresh process needs beyond the file."""
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    child = context.Process(target=_peak, args=(file, queue))
    child.start()
    peak: float = queue.get(timeout=300)
    child.join(30)
    return peak


def measure(kind: Kind, codec: str, records: int, runs: int) -> dict[str, Any]:
    """Return one row of the table."""
    file = records_file(kind, codec, records)
    blocks = inflated_blocks(file)
    size = sum(len(block) for block in blocks) / 1e6
    by_gate: list[float] = []
    by_fastavro: list[float] = []
    for _ in range(TURNS):
        by_gate += [_processor_seconds(lambda: read_by_gate(file)) for _ in range(runs // TURNS)]
        by_fastavro.append(_processor_seconds(lambda: read_by_fastavro(file)))
    gate, spread = _median_and_spread(by_gate)
    theirs, _ = _median_and_spread(by_fastavro)
    apache = None
    if codec in APACHE_CODECS:
        small = records_file(kind, codec, APACHE_RECORDS)
        seconds, _ = processor_seconds_of(lambda: read_by_apache(small), 3)
        apache = seconds * records / APACHE_RECORDS / gate
    row = {
        "kind": kind.name,
        "codec": codec,
        "mb_per_s": size / gate,
        "spread": spread,
        "times_fastavro": theirs / gate,
        "times_apache": apache,
        "of_codec": None,
        "memory_mib": _memory(file),
    }
    if codec in _LIBRARIES:
        pack, unpack = _LIBRARIES[codec]
        packed = [pack(block) for block in blocks]
        library, _ = processor_seconds_of(lambda: [unpack(block) for block in packed], runs)
        row["of_codec"] = library / gate
    return row


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--quick", action="store_true", help="fewer records, null and deflate alone"
    )
    add_json_option(parser)
    options = parser.parse_args()
    records, runs = (50_000, 6) if options.quick else (100_000, 9)
    figures: dict[str, float | None] = {"compiled": compiled}
    print(f"compiled: {compiled}; {records} records; MB/s of inflated data")
    print(f"{'records':10}{'codec':10}    MB/s     ± x fastavro x Apache  of codec    MiB")
    for kind in KINDS:
        for codec in CODECS[:2] if options.quick else CODECS:
            row = measure(kind, codec, records, runs)
            name = f"{kind.name}/{codec}"
            figures |= {f"{name}/{figure}": row[figure] for figure in FIGURES}
            left = f"{row['of_codec']:10.2f}" if row["of_codec"] else f"{'-':>10}"
            apache = f"{row['times_apache']:9.0f}" if row["times_apache"] else f"{'-':>9}"
            print(
                f"{row['kind']:10}{row['codec']:10}{row['mb_per_s']:8.0f}{row['spread']:6.0%}"
                f"{row['times_fastavro']:11.1f}{apache}{left}{row['memory_mib']:7.1f}",
                flush=True,
            )
    write_figures(options.json, figures)


if __name__ == "__main__":
    main()
