"""The table of OWASP ASVS names each requirement once, and only tests that exist."""

import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "asvs.md"
STATES = {"met", "not met", "not applicable", "platform"}
ROW = re.compile(
    r"^\| (?P<id>V[0-9.]+) \| (?P<level>[12]) \| (?P<words>[^|]+) \| (?P<state>[^|]+)"
    r" \| (?P<held>[^|]+) \|$",
    re.MULTILINE,
)
TEST = re.compile(r"`(?P<path>(?:tests|e2e)/[\w/]+\.py)::(?P<name>\w+)`")
# OWASP Application Security Verification Standard 5.0.0, 5.0/docs_en, file …_en.csv: the numbers of
# the requirements in each section.
LEVEL_1 = """
V1.2: 1 2 3 4 5
V1.3: 1 2
V1.5: 1
V2.1: 1
V2.2: 1 2
V2.3: 1
V3.2: 1 2
V3.3: 1
V3.4: 1 2
V3.5: 1 2 3
V4.1: 1
V4.4: 1
V5.2: 1 2
V5.3: 1 2
V6.1: 1
V6.2: 1 2 3 4 5 6 7 8
V6.3: 1 2
V6.4: 1 2
V7.2: 1 2 3 4
V7.4: 1 2
V8.1: 1
V8.2: 1 2
V8.3: 1
V9.1: 1 2 3
V9.2: 1
V10.4: 1 2 3 4 5
V11.3: 1 2
V11.4: 1
V12.1: 1
V12.2: 1 2
V13.4: 1
V14.2: 1
V14.3: 1
V15.1: 1
V15.2: 1
V15.3: 1
"""
LEVEL_2 = """
V1.1: 1 2
V1.2: 6 7 8 9
V1.3: 3 4 5 6 7 8 9 10 11
V1.4: 1 2 3
V1.5: 2
V2.1: 2 3
V2.2: 3
V2.3: 2 3 4
V2.4: 1
V3.3: 2 3 4
V3.4: 3 4 5 6
V3.5: 4 5
V3.7: 1 2
V4.1: 2 3
V4.2: 1
V4.3: 1 2
V4.4: 2 3 4
V5.1: 1
V5.2: 3
V5.4: 1 2 3
V6.1: 2 3
V6.2: 9 10 11 12
V6.3: 3 4
V6.4: 3 4
V6.5: 1 2 3 4 5
V6.6: 1 2 3
V6.8: 1 2 3 4
V7.1: 1 2 3
V7.3: 1 2
V7.4: 3 4 5
V7.5: 1 2
V7.6: 1 2
V8.1: 2
V8.2: 3
V8.4: 1
V9.2: 2 3 4
V10.1: 1 2
V10.2: 1 2
V10.3: 1 2 3 4
V10.4: 6 7 8 9 10 11
V10.5: 1 2 3 4 5
V10.6: 1 2
V10.7: 1 2 3
V11.1: 1 2
V11.2: 1 2 3
V11.3: 3
V11.4: 2 3 4
V11.5: 1
V11.6: 1
V12.1: 2 3
V12.3: 1 2 3 4
V13.1: 1
V13.2: 1 2 3 4 5
V13.3: 1 2
V13.4: 2 3 4 5
V14.1: 1 2
V14.2: 2 3 4
V14.3: 2 3
V15.1: 2 3
V15.2: 2 3
V15.3: 2 3 4 5 6 7
V16.1: 1
V16.2: 1 2 3 4 5
V16.3: 1 2 3 4
V16.4: 1 2 3
V16.5: 1 2 3
V17.1: 1
V17.2: 1 2 3 4
V17.3: 1 2
"""


def required(text: str) -> list[str]:
    """Return the ids of a level."""
    return [
        f"{section}.{number}"
        for section, _, numbers in (line.partition(": ") for line in text.split("\n") if line)
        for number in numbers.split()
    ]


@pytest.fixture(name="rows")
def _rows() -> list[dict[str, str]]:
    return [row.groupdict() for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(("level", "text"), [("1", LEVEL_1), ("2", LEVEL_2)])
def test_each_requirement_has_one_row(rows: list[dict[str, str]], level: str, text: str) -> None:
    """With its level, in the order of the standard; no row is anything else."""
    assert [row["id"] for row in rows if row["level"] == level] == required(text)
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(rows) == sum(line.startswith("| V") for line in lines)


def test_what_is_met_names_tests_that_exist(rows: list[dict[str, str]]) -> None:
    """Every other row has a reason."""
    missing = []
    for row in rows:
        assert row["state"] in STATES
        named = list(TEST.finditer(row["held"]))
        if row["state"] == "met":
            assert named, row["id"]
        for one in named:
            path = ROOT / one["path"]
            has = path.exists() and re.search(
                rf"^\s*(?:async )?def {one['name']}\(",
                path.read_text(encoding="utf-8"),
                re.MULTILINE,
            )
            if not has:
                missing.append(f"{row['id']}: {one['path']}::{one['name']}")
    assert missing == []


def test_the_page_counts_its_rows(rows: list[dict[str, str]]) -> None:
    """The table of states has the numbers of both levels."""
    counted = Counter((row["state"], row["level"]) for row in rows)
    page = PAGE.read_text(encoding="utf-8")
    for state in STATES:
        numbers = [counted[state, level] for level in "12"]
        assert f"| {state} | {numbers[0]} | {numbers[1]} |" in page
