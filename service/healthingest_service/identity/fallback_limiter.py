"""
Rate limits while the shared counters are unavailable.

Each process then counts alone: requests neither fail nor become unlimited.
"""

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.ports import LoginThrottle, RateLimiter
from healthingest_service.identity.throttling import LOGINS, Charge, Decision, LoginAttempt

Answer = TypeVar("Answer")


class SharedCounters:
    """
    Access to the shared counters.

    After a failure they are not used for *pause_seconds*, so that not every request waits for the
    deadline. *on_degraded* is called with the name of each rule that is decided without them.
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
        rule_names: Sequence[str],
        shared: Callable[[], Awaitable[Answer]],
        alone: Callable[[], Awaitable[Answer]],
    ) -> Answer:
        """Return the result of *shared*, or of *alone* while the shared counters fail."""
        if self._clock() >= self._again_at:
            try:
                return await shared()
            except LimiterUnavailableError:
                self._again_at = self._clock() + self._pause_seconds
        for rule_name in rule_names:
            self._on_degraded(rule_name)
        return await alone()


class FallbackLimiter:
    """A rate limiter that falls back to *alone*, in this process, while *shared* fails."""

    def __init__(self, counters: SharedCounters, shared: RateLimiter, alone: RateLimiter) -> None:
        self._counters = counters
        self._shared = shared
        self._alone = alone

    async def count(self, *charges: Charge) -> Sequence[Decision]:
        """Implement `RateLimiter.count`; never raises."""
        return await self._counters.ask(
            [charge.rule.name for charge in charges],
            lambda: self._shared.count(*charges),
            lambda: self._alone.count(*(charge.alone() for charge in charges)),
        )


class FallbackThrottle:
    """A login throttle that falls back to *alone*, in this process, while *shared* fails."""

    def __init__(
        self, counters: SharedCounters, shared: LoginThrottle, alone: LoginThrottle
    ) -> None:
        self._counters = counters
        self._shared = shared
        self._alone = alone

    async def admit(self, attempt: LoginAttempt) -> float:
        """Implement `LoginThrottle.admit`; never raises."""
        return await self._counters.ask(
            [LOGINS], lambda: self._shared.admit(attempt), lambda: self._alone.admit(attempt)
        )

    async def failed(self, attempt: LoginAttempt) -> None:
        """Implement `LoginThrottle.failed`; never raises."""
        await self._counters.ask(
            [LOGINS], lambda: self._shared.failed(attempt), lambda: self._alone.failed(attempt)
        )

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """Implement `LoginThrottle.succeeded`; never raises."""
        await self._counters.ask(
            [LOGINS],
            lambda: self._shared.succeeded(attempt),
            lambda: self._alone.succeeded(attempt),
        )
