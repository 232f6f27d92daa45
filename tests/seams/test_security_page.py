"""The threat model names tests that exist, levels that have rules, and the lifetimes that hold."""

import re
from pathlib import Path

import pytest

from healthingest_service.settings.groups import IdentitySettings, OidcSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "explanation" / "security.md"
POLICY = ROOT / "SECURITY.md"
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


def rows_below(heading: str, page: Path = PAGE) -> list[list[str]]:
    """Return the cells of the rows of all tables in a section, without their heads."""
    section = page.read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2]
    lines = section.partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in one.split("|")[1:-1]] for one in lines if one[:2] == "| "]
    rules = [number for number, row in enumerate(rows) if set("".join(row)) <= set("- ")]
    heads = {number - 1 for number in rules}
    return [row for n, row in enumerate(rows) if n not in heads and n not in rules]


def test_each_asset_has_a_level_and_each_level_has_rules() -> None:
    """Availability has no level: it is no data."""
    rows = rows_below("What is protected")
    assets = {row[0]: row[1] for row in rows if len(row) == 4}
    rules = {row[0] for row in rows if len(row) == 2}
    assert [name for name, level in assets.items() if not level] == ["availability of intake"]
    assert set(assets.values()) - {""} == rules == {"internal", "personal", "health", "secret"}


def test_the_page_has_the_lifetimes_of_the_settings() -> None:
    """Each default is that of its setting, and each lifetime has a reason."""
    rows = rows_below("Lifetimes of sessions")
    shown = {row[2].strip("`"): row[1] for row in rows}
    identity = IdentitySettings()
    minutes = identity.access_token_seconds // 60
    provider_hours = OidcSettings().session_seconds // 3600
    assert shown["IDENTITY__ACCESS_TOKEN_SECONDS"] == f"{minutes} minutes"
    assert shown["IDENTITY__REFRESH_TOKEN_DAYS"] == f"{identity.refresh_token_days} days"
    assert shown["IDENTITY__SESSION_DAYS"] == f"{identity.session_days} days"
    page_hours = identity.page_session_seconds // 3600
    assert shown["IDENTITY__PAGE_SESSION_SECONDS"] == f"{page_hours} hours"
    assert shown["OIDC__SESSION_SECONDS"] == f"{provider_hours} hours"
    assert all(row[3] for row in rows)


@pytest.mark.parametrize("column", [1, 2])
def test_updates_have_times_that_grow_as_the_severity_falls(column: int) -> None:
    """In days, for each severity; only the last one may wait for a release."""
    rows = rows_below("Updates of components", POLICY)
    assert [row[0].split(",")[0] for row in rows] == ["critical", "high", "medium", "low"]
    days = [int(row[column].removesuffix(" days")) for row in rows if row[column][0].isdigit()]
    assert len(days) >= 3
    assert days == sorted(days)
