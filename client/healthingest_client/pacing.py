"""
When a client waits before it sends a request, because a rate limit leaves no room.

A server that refuses a request with a body has received some of it, so these bytes are sent twice.
The header `RateLimit` of earlier answers says how many requests are left
(draft-ietf-httpapi-ratelimit-headers-10).
"""

import re
from collections import Counter
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final

_RULE: Final = re.compile(r'"([^"]+)"\s*;\s*r=(\d+)\s*;\s*t=(\d+)')
_LONGEST_SECONDS: Final = 120.0
"""A longer wait is left to `Retry-After`: there may be room before the end of the window."""
_NO_RULES: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class _Room:
    left: int
    resets_at: float


@dataclass(slots=True)
class Pacing:
    """
    The rules that answers have named, and the room of each.

    Requests of one *kind*, such as a method and the begin of a path, are counted by the same rules.
    Times are in seconds, of any clock that does not go back.
    """

    _rules: dict[str, frozenset[str]] = field(default_factory=dict)
    _rooms: dict[str, _Room] = field(default_factory=dict)
    _under_way: Counter[str] = field(default_factory=Counter)

    def seconds_before(self, kind: str, now: float) -> float:
        """Return how long to wait before the next request; those under way need room, too."""
        waits = [
            room.resets_at - now
            for rule in self._rules.get(kind, _NO_RULES)
            if (room := self._rooms[rule]).left <= self._under_way[rule]
            and now < room.resets_at <= now + _LONGEST_SECONDS
        ]
        return max(waits, default=0.0)

    def sending(self, kind: str) -> frozenset[str]:
        """Note that a request is sent; returns the rules that count it, for `ended`."""
        rules = self._rules.get(kind, _NO_RULES)
        self._under_way.update(rules)
        return rules

    def ended(self, rules: AbstractSet[str]) -> None:
        """Note that a request was answered, or got no answer."""
        self._under_way.subtract(rules)

    def answered(self, kind: str, rate_limit: str, now: float) -> None:
        """Note the header `RateLimit` of an answer."""
        found = _RULE.findall(rate_limit)
        if not found:
            return
        self._rules[kind] = frozenset(name for name, _, _ in found)
        for name, left, seconds in found:
            self._rooms[name] = _Room(int(left), now + int(seconds))
