"""
Measures the series of benchmarks side by side, and writes their results: `make bench`.

Each series starts its own servers and ends them. The results of a series are a file of
`.cache/bench`, with `--store` of `docs/reference/benchmarks`, from which `make benchmarks-page`
makes the page. They say whether other work was on the machine.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.catalogue import SERIES
from benchmarks.model import Row, Run
from series import healthingests, readers, uploads
from series.machine import busy_processors, machine
from series.sizes import QUICK, WHOLE, Sizes

ROOT: Final = Path(__file__).resolve().parents[2]
STORED: Final = ROOT / "docs" / "reference" / "benchmarks"
CACHE: Final = ROOT / ".cache" / "bench"
MEASURES: Final[Mapping[str, Callable[[Sizes], Iterator[Row]]]] = {
    "gate": readers.measure,
    "small": uploads.measure_small,
    "large": uploads.measure_large,
    "size": uploads.measure_size,
    "concurrency": uploads.measure_concurrency,
    "accounts": uploads.measure_accounts,
    "rows": uploads.measure_rows,
    "replicas": uploads.measure_replicas,
    "operator": healthingests.measure,
    "demands": uploads.measure_demands,
}


def main() -> int:
    """Run the series; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few and small rounds")
    parser.add_argument("--only", nargs="*", default=(), help=f"some of {', '.join(MEASURES)}")
    parser.add_argument("--store", action="store_true", help="into the documents")
    options = parser.parse_args()
    unknown = set(options.only) - set(MEASURES)
    if unknown:
        parser.error(f"no series is called {', '.join(sorted(unknown))}")
    folder = STORED if options.store else CACHE
    folder.mkdir(parents=True, exist_ok=True)
    commit = _commit()  # before the first results are stored, which are a difference
    for series in SERIES:
        if not options.only or series.id in options.only:
            print(f"\n{series.title}", flush=True)
            run = measure(series.id, commit, is_quick=options.quick)
            text = json.dumps(run.document(), indent=1, ensure_ascii=False)
            (folder / f"{series.id}.json").write_text(text + "\n", encoding="utf-8")
    print(f"\nwritten to {folder.relative_to(ROOT)}; `make benchmarks-page` makes the page")
    return 0


def measure(series: str, commit: str, *, is_quick: bool) -> Run:
    """Return the run of a series, and print its rows as they come."""
    load_before = busy_processors()
    began = time.monotonic()
    rows = []
    for row in MEASURES[series](QUICK if is_quick else WHOLE):
        rows.append(row)
        figures = ", ".join(
            f"{name} {'-' if value is None else format(value, '.4g')}"
            for name, value in row.figures.items()
        )
        print(f"  {row.x!s:12} {row.server:24} {figures}", flush=True)
    print(
        f"  {time.monotonic() - began:.0f} s, {load_before:.1f} processors busy before", flush=True
    )
    return Run(
        series=series,
        date=f"{datetime.now(UTC):%Y-%m-%d}",
        commit=commit,
        is_quick=is_quick,
        load_before=round(load_before, 1),
        load_after=round(busy_processors(), 1),
        machine=machine(),
        rows=rows,
    )


def _commit() -> str:
    """Return the commit, with a plus if files differ from it, or `unknown` without a repository."""
    describe = ["git", "describe", "--always", "--exclude=*", "--dirty=+"]
    done = subprocess.run(
        describe, cwd=ROOT, check=False, capture_output=True, text=True, timeout=60
    )
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
