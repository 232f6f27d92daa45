"""The tests that docs/explanation/security.md names exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
ROW = re.compile(r"^\| .+ \| .+ \| (?P<tests>`(?:tests|e2e)/.+`) \|$", re.MULTILINE)


def test_each_control_names_tests_that_exist() -> None:
    """A file, or a folder of tests."""
    named = [
        path.strip(" `")
        for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))
        for path in row["tests"].split(",")
    ]
    assert len(named) >= 30
    assert [path for path in named if not (ROOT / path).exists()] == []
