"""
What holds while the shared counters are gone.

Each process counts for itself, never an error, never unlimited.
"""

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.ports import LoginThrottle, RateLimiter
from healthingest_service.identity.throttling import LOGINS, Decision, LoginAttempt, Rule

Answer = TypeVar("Answer")


class SharedCounters:
    """
    Whether the shared counters are asked.

    After a failure they are left alone for `pause_seconds`, lest each request waits for its
    deadline.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float],
        pause_seconds: float,
        on_degraded: Callable[[str], None],
    ) -> None:
        self._clock = clock
        self._pause_seconds = pause_seconds
        self._on_degraded = on_degraded
        self._again_at = -math.inf

    async def ask(
        self,
        rule_name: str,
        shared: Callable[[], Awaitable[Answer]],
        alone: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """The answer of *shared*, or of *alone* while the shared counters are gone."""
        if self._clock() >= self._again_at:
            try:
                return await shared()
            except LimiterUnavailableError:
                self._again_at = self._clock() + self._pause_seconds
        self._on_degraded(rule_name)
        return await alone()


class FallbackLimiter:
    """A rate limiter that counts in this process while *shared* is gone."""

    def __init__(self, counters: SharedCounters, shared: RateLimiter, alone: RateLimiter) -> None:
        self._counters = counters
        self._shared = shared
        self._alone = alone

    async def hit(self, rule: Rule, key: str) -> Decision:
        """As the port says, but it does not raise."""
        return await self._counters.ask(
            rule.name,
            lambda: self._shared.hit(rule, key),
            lambda: self._alone.hit(rule.alone(), key),
        )


class FallbackThrottle:
    """A throttle of logins that counts in this process while *shared* is gone."""

    def __init__(
        self, counters: SharedCounters, shared: LoginThrottle, alone: LoginThrottle
    ) -> None:
        self._counters = counters
        self._shared = shared
        self._alone = alone

    async def admit(self, attempt: LoginAttempt) -> float:
        """As the port says, but it does not raise."""
        return await self._counters.ask(
            LOGINS, lambda: self._shared.admit(attempt), lambda: self._alone.admit(attempt)
        )

    async def failed(self, attempt: LoginAttempt) -> None:
        """As the port says, but it does not raise."""
        await self._counters.ask(
            LOGINS, lambda: self._shared.failed(attempt), lambda: self._alone.failed(attempt)
        )

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """As the port says, but it does not raise."""
        await self._counters.ask(
            LOGINS, lambda: self._shared.succeeded(attempt), lambda: self._alone.succeeded(attempt)
        )
