"""What holds while the shared counters are gone."""

import math
from collections.abc import Callable

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.ports import RateLimiter
from healthingest_service.identity.throttling import Decision, Rule


class FallbackLimiter:
    """
    Counts in the shared limiter, and in this process while that one is gone: never an error, never unlimited.

    After a failure the shared one is left alone for `pause_seconds`, lest each request waits for its deadline.
    """

    def __init__(
        self,
        shared: RateLimiter,
        alone: RateLimiter,
        *,
        clock: Callable[[], float],
        pause_seconds: float,
        on_degraded: Callable[[str], None],
    ) -> None:
        self._shared = shared
        self._alone = alone
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._on_degraded = on_degraded
        self._again_at = -math.inf

    async def hit(self, rule: Rule, key: str) -> Decision:
        """As the port says, but it does not raise."""
        if self._clock() >= self._again_at:
            try:
                return await self._shared.hit(rule, key)
            except LimiterUnavailableError:
                self._again_at = self._clock() + self._pause_seconds
        self._on_degraded(rule.name)
        return await self._alone.hit(rule.alone(), key)
