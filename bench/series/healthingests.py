"""Measures one operator with more and more HealthIngests."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import operator_scale
from benchmarks.model import Row
from series.sizes import Sizes

_PYTHON: Final = Path(__file__).parents[2] / ".cache" / "operator" / "bin" / "python"
"""With the packages of the operator's image, if they are installed: `make bench` does."""


def measure(sizes: Sizes) -> Iterator[Row]:
    """Yield a row for each number of HealthIngests."""
    python = str(_PYTHON) if _PYTHON.exists() else sys.executable
    for count in sizes.healthingests:
        figures = asyncio.run(operator_scale.measure(count, sizes.minutes, python))
        yield Row(count, "operator", figures)
