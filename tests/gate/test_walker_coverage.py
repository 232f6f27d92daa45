"""The malicious files reach all of the walker."""

import subprocess
import sys
from pathlib import Path

import pytest

LEAST_PER_CENT = 98.0


@pytest.mark.long
@pytest.mark.timeout(600)
def test_the_corpus_reaches_every_line_and_branch() -> None:
    """At least 98 %, measured in the interpreted form."""
    run = subprocess.run(
        [sys.executable, "-m", "support.avro.covering"],
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
        timeout=590,
    )
    measured = dict(line.split() for line in run.stdout.splitlines())
    assert {
        name: per_cent for name, per_cent in measured.items() if float(per_cent) < LEAST_PER_CENT
    } == {}
    assert set(measured) == {"walker", "values", "snappy"}
