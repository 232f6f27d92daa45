"""The places in docs/reference/where.md exist."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "where.md"
ROW = re.compile(
    r"^\| (?P<question>.+?) \| `(?P<path>[^`]+)` \| `(?P<symbol>[^`]+)` \|$", re.MULTILINE
)


def test_each_named_place_exists() -> None:
    """Each row names a file, and a symbol that the file defines."""
    rows = [(row["path"], row["symbol"]) for row in ROW.finditer(PAGE.read_text(encoding="utf-8"))]
    missing = [
        f"{path}: {symbol}"
        for path, symbol in rows
        if not (ROOT / path).is_file()
        or not _defines((ROOT / path).read_text(encoding="utf-8"), symbol)
    ]
    assert len(rows) >= 25
    assert missing == []


def _defines(text: str, symbol: str) -> bool:
    """Whether *text* defines a class, function, constant or key of this name."""
    name = re.escape(symbol)
    form = rf"^\s*(?:class {name}\b|(?:async )?def {name}\b|{name}\s*[:=]|{name}:|\"{name}\")"
    return re.search(form, text, re.MULTILINE) is not None
