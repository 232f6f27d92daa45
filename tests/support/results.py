"""The results of a bench or of a run with faults, written as data for other programs."""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path


def add_json_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--json FILE`, whose value is a path, or None without it."""
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures as JSON")


def write_figures(path: Path | None, figures: Mapping[str, float | None]) -> None:
    """Write *figures* by name to *path*, if there is one; None could not be measured here."""
    if path is not None:
        path.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
