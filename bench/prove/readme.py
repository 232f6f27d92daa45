"""Which numbers and promises of a page no claim quotes; pure."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

_NOT_CLAIMS: Final = re.compile(r"^```.*?^```|\]\([^)]*\)|`[^`\n]*`", re.MULTILINE | re.DOTALL)
"""Code, and the targets of links."""
_CLAIM: Final = re.compile(r"(?<![\w.,-])\d[\d.,]*|\bnever\b", re.IGNORECASE)


def uncovered(page: str, quotes: Iterable[str]) -> list[str]:
    """Return each number and each "never" outside of all *quotes*, with its line."""
    plain = _NOT_CLAIMS.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), page)
    spans = [span for quote in quotes for span in _spans(page, quote)]
    return [
        f"{match[0].rstrip('.,')}: {_line_at(page, match.start())}"
        for match in _CLAIM.finditer(plain)
        if not _is_inside(match.start(), spans)
    ]


def _spans(page: str, quote: str) -> Iterator[tuple[int, int]]:
    for match in re.finditer(re.escape(quote), page):
        yield match.span()


def _is_inside(place: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(start <= place < end for start, end in spans)


def _line_at(page: str, place: int) -> str:
    end = page.find("\n", place)
    return page[page.rfind("\n", 0, place) + 1 : None if end < 0 else end]
