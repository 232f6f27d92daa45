"""The limit of recorded refusals, so that clients cannot fill the audit log."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

WINDOW_SECONDS: Final = 60.0
PER_SOURCE: Final = 10
"""Refusals of one account or address that are recorded in a minute."""
MAX_SOURCES: Final = 10_000


@dataclass(slots=True)
class _Window:
    began: float
    used: int = 0

    def admits(self, limit: int, now: float) -> bool:
        if now - self.began >= WINDOW_SECONDS:
            self.began = now
            self.used = 0
        return self.used < limit


class RefusalBudget:
    """
    Decides which refusals are recorded: a number of each source, and of all sources together.

    Accounts and anonymous clients have separate totals, so that nobody without an account can
    suppress the record of what an account tried. It counts in this process only.
    """

    def __init__(self, *, per_minute: int, monotonic: Callable[[], float]) -> None:
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._totals: dict[bool, _Window] = {}
        self._sources: OrderedDict[str, _Window] = OrderedDict()

    def admits(self, source: str, *, is_anonymous: bool) -> bool:
        """Return whether a refusal of *source* is recorded, and count it if so."""
        now = self._monotonic()
        total = self._totals.setdefault(is_anonymous, _Window(now))
        window = self._window(source, now)
        if not (total.admits(self._per_minute, now) and window.admits(PER_SOURCE, now)):
            return False
        total.used += 1
        window.used += 1
        return True

    def _window(self, source: str, now: float) -> _Window:
        window = self._sources.pop(source, None) or _Window(now)
        if len(self._sources) >= MAX_SOURCES:
            self._sources.popitem(last=False)
        self._sources[source] = window
        return window
