"""Parts of a page that `make goldens` writes, between a mark and the next end."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

END: Final = "<!-- end -->\n"


def assert_written(page: Path, parts: Mapping[str, str]) -> None:
    """Compare the parts of *page* after each mark with *parts*; UPDATE_GOLDENS writes them."""
    text = page.read_text(encoding="utf-8")
    wanted = text
    for mark, part in parts.items():
        before, _, rest = wanted.partition(mark)
        _, _, after = rest.partition(END)
        wanted = f"{before}{mark}{part}{END}{after}"
    if os.environ.get("UPDATE_GOLDENS"):
        page.write_text(wanted, encoding="utf-8")
        text = wanted
    assert text == wanted
