"""
Writes the page of the benchmarks, its pictures, and the tables of the page about scaling.

Usage: `python -m benchmarks.write_page [--check]`.

With --check it writes nothing, names each file that differs from the stored results, and exits
with 1 if there is one.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from benchmarks.catalogue import SERIES
from benchmarks.model import Run
from benchmarks.page import FOLDER, page, pictures
from benchmarks.scaling_page import SERIES as DEMANDS
from benchmarks.scaling_page import with_tables

ROOT: Final = Path(__file__).resolve().parents[2]
REFERENCE: Final = ROOT / "docs" / "reference"
SCALING: Final = ROOT / "docs" / "explanation" / "scaling.md"
RESULTS: Final = REFERENCE / FOLDER


def main() -> int:
    """Write or check the files; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    wanted = generated_files(stored_runs())
    differing = [path for path, text in wanted.items() if _text(path) != text]
    left_over = [path for path in RESULTS.glob("*.svg") if path not in wanted]
    if not options.check:
        _write({path: wanted[path] for path in differing}, left_over)
        return 0
    for path in [*differing, *left_over]:
        sys.stdout.write(f"{path.relative_to(ROOT)} differs: make benchmarks-page\n")
    return 1 if differing or left_over else 0


def _write(files: Mapping[Path, str], left_over: Sequence[Path]) -> None:
    RESULTS.mkdir(exist_ok=True)
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    for path in left_over:
        path.unlink()


def stored_runs() -> dict[str, Run]:
    """Return the stored runs by series."""
    documents = [
        json.loads(path.read_text(encoding="utf-8")) for path in sorted(RESULTS.glob("*.json"))
    ]
    return {document["series"]: Run.parse(document) for document in documents}


def generated_files(runs: dict[str, Run]) -> dict[Path, str]:
    """Return the text of each generated file."""
    drawn = {RESULTS / name: text for name, text in pictures(SERIES, runs).items()}
    scaling = with_tables(SCALING.read_text(encoding="utf-8"), runs.get(DEMANDS))
    return {REFERENCE / "benchmarks.md": page(SERIES, runs), SCALING: scaling} | drawn


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
