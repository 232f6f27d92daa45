"""Each table has a row on the page about growth, which says what ends its rows."""

import re
from pathlib import Path

from healthingest_contract.object_keys import (
    ANCHOR_PREFIX,
    ERASURES_PREFIX,
    PARTS_PREFIX,
    PREFIX,
)
from healthingest_service.adapters.database import (
    account_tables,
    audit_tables,
    erasure_tables,
    outcome_tables,
    resumable_tables,
    study_tables,
)
from healthingest_service.adapters.database.tables import Base

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "growth.md"
MODULES = (
    account_tables,
    audit_tables,
    erasure_tables,
    outcome_tables,
    resumable_tables,
    study_tables,
)
"""Their import adds their tables to the metadata."""
ROW = re.compile(r"^\| `(?P<name>[a-z_]+)` \|.*\| (?P<bytes>[\d,]+) \|$", re.MULTILINE)


def test_each_table_has_a_row_with_its_bytes() -> None:
    """And each row is about a table."""
    assert all(module.Base is Base for module in MODULES)
    found = [row["name"] for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    assert sorted(found) == sorted(Base.metadata.tables)


def test_each_prefix_of_the_bucket_has_a_row() -> None:
    """Uploads, anchors and objects of erasures."""
    page = PAGE.read_text(encoding="utf-8")
    missing = [
        prefix
        for prefix in (PREFIX, PARTS_PREFIX, ANCHOR_PREFIX, ERASURES_PREFIX)
        if f"\n| `{prefix}`" not in page
    ]
    assert missing == []
