"""Health checks of dependencies, run in the background, with outcomes kept in memory."""

import asyncio
import errno
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from healthingest_service.telemetry.metrics import Metrics

CHANGED: Final = "dependency_changed"
_STALE_ROUNDS: Final = 5
"""Rounds after which an outcome is stale: the loop of the checks is stuck."""


@dataclass(frozen=True, slots=True)
class Check:
    """
    The check of one dependency; it fails by raising any exception.

    If a `required` check fails, the instance is not ready, since no upload could succeed. The other
    checks are only reported: uploads succeed without those dependencies.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    required: bool


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """
    The last outcome of a check.

    `error` is the code of a known cause, else the exception type with its errno; never a message.
    """

    required: bool
    up: bool
    error: str | None
    seconds: float


def _kind(error: Exception) -> str:
    name = type(error).__name__
    cause = error.__cause__
    code = errno.errorcode.get(cause.errno or 0) if isinstance(cause, OSError) else None
    return name if code is None else f"{name} ({code})"


class HealthBoard:
    """Runs *checks* in rounds, and keeps the outcomes of the last round."""

    def __init__(
        self,
        checks: Sequence[Check],
        *,
        metrics: Metrics,
        interval_seconds: float,
        timeout_seconds: float,
        cause_of: Callable[[BaseException], str | None] = lambda _: None,
    ) -> None:
        self._checks = checks
        self._metrics = metrics
        self._interval_seconds = interval_seconds
        self._timeout_seconds = timeout_seconds
        self._cause_of = cause_of
        self._outcomes: dict[str, CheckOutcome] = {}
        self._checked_at: float | None = None
        self._has_been_ready = False
        self._is_leaving = False
        self._log = structlog.get_logger("healthingest.health")

    @property
    def outcomes(self) -> Mapping[str, CheckOutcome]:
        """The last outcome of each check."""
        return dict(self._outcomes)

    @property
    def is_ready(self) -> bool:
        """Whether all required checks passed in a recent round, and no shutdown has begun."""
        if self._is_leaving or not self._is_fresh():
            return False
        return all(outcome.up for outcome in self._outcomes.values() if outcome.required)

    @property
    def has_started(self) -> bool:
        """Whether this instance has ever been ready."""
        return self._has_been_ready

    def leave(self) -> None:
        """Make the instance permanently not ready, because its shutdown has begun."""
        self._is_leaving = True

    async def run(self, stop: asyncio.Event) -> None:
        """Run a round of checks in each interval, until *stop* is set."""
        while not stop.is_set():
            await self.check_once()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_seconds):
                    await stop.wait()

    async def check_once(self) -> None:
        """Run all checks concurrently, and record their outcomes."""
        outcomes = await asyncio.gather(*(self._ask(check) for check in self._checks))
        for check, now in zip(self._checks, outcomes, strict=True):
            before = self._outcomes.get(check.name)
            if before is None or before.up != now.up:
                self._log.info(CHANGED, dependency=check.name, up=now.up, error=now.error)
            self._outcomes[check.name] = now
            self._metrics.dependency_up.labels(check.name).set(now.up)
        self._checked_at = time.monotonic()
        self._has_been_ready = self._has_been_ready or self.is_ready

    async def _ask(self, check: Check) -> CheckOutcome:
        began = time.monotonic()
        error: str | None = None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await check.run()
        except Exception as raised:  # noqa: BLE001 - a check fails by raising any exception
            error = self._cause_of(raised) or _kind(raised)
        return CheckOutcome(
            check.required, error is None, error, round(time.monotonic() - began, 4)
        )

    def _is_fresh(self) -> bool:
        if self._checked_at is None:
            return False
        oldest = _STALE_ROUNDS * (self._interval_seconds + self._timeout_seconds)
        return time.monotonic() - self._checked_at < oldest
