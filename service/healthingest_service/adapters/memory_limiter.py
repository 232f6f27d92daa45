"""Counts in this process: for one process alone, and for each while the shared counters are gone."""

import time

from limits import RateLimitItemPerSecond
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from healthingest_service.identity.throttling import Decision, Rule


class MemoryLimiter:
    """A moving window in memory; needs no closing, is gone with the process."""

    def __init__(self) -> None:
        self._limiter = MovingWindowRateLimiter(MemoryStorage())

    async def hit(self, rule: Rule, key: str) -> Decision:
        """As the port says."""
        item = RateLimitItemPerSecond(rule.rate.amount, rule.rate.window_seconds, namespace=rule.name)
        allowed = await self._limiter.hit(item, key)
        window = await self._limiter.get_window_stats(item, key)
        return Decision(rule, allowed, max(0, window.remaining), max(0.0, window.reset_time - time.time()))
