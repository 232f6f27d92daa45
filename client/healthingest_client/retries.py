"""When a request is repeated: pure decisions about waiting."""

import random
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from healthingest_client.errors import ClientError, ProblemError, UnreachableError

_MOST_FAILURES: Final = 200
"""The largest number of failures without progress, also of a server that says when to come back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """
    How long a client waits.

    `patience_seconds` limits the sum of waits without progress, apart from those that a rate limit
    requires. The latter are limited by `longest_retry_after_seconds` each. The default exceeds the
    120 s for which the service refuses bytes that a killed process was storing.
    """

    patience_seconds: float = 300.0
    first_wait_seconds: float = 0.25
    longest_wait_seconds: float = 30.0
    longest_retry_after_seconds: float = 3600.0


@dataclass(slots=True)
class Patience:
    """The waits of one request, or of one file until the server has more of its bytes."""

    policy: RetryPolicy
    _failures: int = field(default=0, init=False)
    _waited_seconds: float = field(default=0.0, init=False)

    def wait_after(self, error: ClientError) -> float | None:
        """Return how long to wait before the next attempt; None: give up."""
        policy = self.policy
        doubled = policy.first_wait_seconds * float(1 << min(self._failures, 20))
        longest = min(policy.longest_wait_seconds, doubled)
        # Many devices that lost the same server shall not come back at the same time.
        backoff = longest * random.uniform(0.5, 1.0)  # noqa: S311 - not secret
        asked = error.retry_after_seconds if isinstance(error, ProblemError) else None
        wait = max(asked or 0.0, backoff)
        self._failures += 1
        if self._failures > _MOST_FAILURES or wait > policy.longest_retry_after_seconds:
            return None
        if _is_rate_limit(error):
            return wait
        self._waited_seconds += wait
        return wait if self._waited_seconds <= policy.patience_seconds else None

    def progressed(self) -> None:
        """Begin anew: the server has more than before."""
        self._failures = 0
        self._waited_seconds = 0.0


def may_repeat(error: ClientError, *, is_repeatable: bool) -> bool:
    """
    Return whether the request that failed may be sent again.

    A request that is not repeatable may, if it had certainly no effect.
    """
    if isinstance(error, UnreachableError):
        return is_repeatable or not error.was_sent
    if isinstance(error, ProblemError):
        return _is_rate_limit(error) or (is_repeatable and error.is_temporary)
    return False


def _is_rate_limit(error: ClientError) -> bool:
    return isinstance(error, ProblemError) and error.status == HTTPStatus.TOO_MANY_REQUESTS


def retry_after_seconds(value: str | None, now: datetime) -> float | None:
    """Return the seconds of the header `Retry-After` (RFC 9110, 10.2.3); None: it has none."""
    if value is None:
        return None
    if value.isascii() and value.isdecimal():
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - now).total_seconds())
