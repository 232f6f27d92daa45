"""A cache with a short time to live, for answers that many HealthIngests need."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

TTL_SECONDS: Final = 10.0

_Value = TypeVar("_Value")


class TtlCache:
    """
    Caches results for `TTL_SECONDS`.

    Keys are hashed, because arguments may hold passwords. Errors are not cached. A clock that is
    set back expires every entry.
    """

    def __init__(self) -> None:
        self._entries: dict[bytes, tuple[float, object]] = {}
        self._cleaned_at = float("-inf")

    async def get(
        self, key: tuple[str, ...], now: float, fetch: Callable[[], Awaitable[_Value]]
    ) -> _Value:
        """Return the cached result for *key*, or the result of *fetch*; *now* is in seconds."""
        self._remove_expired(now)
        digest = hashlib.sha256(repr(key).encode()).digest()
        entry = self._entries.get(digest)
        if entry is not None and _is_fresh(entry[0], now):
            cached: _Value = entry[1]  # type: ignore[assignment] # a key has one type of value
            return cached
        value = await fetch()
        self._entries[digest] = (now, value)
        return value

    def clear(self) -> None:
        """Remove all entries, because something was changed."""
        self._entries.clear()

    def _remove_expired(self, now: float) -> None:
        """Remove expired entries from time to time, because some of them contain Secrets."""
        if not 0 <= now - self._cleaned_at < TTL_SECONDS / 4:
            self._cleaned_at = now
            self._entries = {
                digest: entry for digest, entry in self._entries.items() if _is_fresh(entry[0], now)
            }


def _is_fresh(then: float, now: float) -> bool:
    return 0 <= now - then < TTL_SECONDS
