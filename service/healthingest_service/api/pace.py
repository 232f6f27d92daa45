"""The minimum rate and the deadline of a request body. Pure: the caller measures the time."""

import math

from healthingest_service.uploads.errors import BodyTooSlowError


class Pace:
    """
    A time credit for one client: waiting consumes it, and received bytes replenish it.

    *min_bytes_per_second* (0: any rate) must hold in every period of *window_seconds*. The credit
    never exceeds the window, so a burst allows no longer pause than the window. The whole body must
    arrive within *deadline_seconds*.
    """

    def __init__(
        self, *, window_seconds: float, min_bytes_per_second: int, deadline_seconds: float
    ) -> None:
        self._window_seconds = window_seconds
        self._seconds_per_byte = 1 / min_bytes_per_second if min_bytes_per_second else math.inf
        self._credit_seconds = window_seconds
        self._left_seconds = deadline_seconds

    @property
    def patience_seconds(self) -> float:
        """The longest time that the next chunk may take."""
        return max(0.0, min(self._credit_seconds, self._left_seconds))

    def count(self, size_bytes: int, *, waited_seconds: float) -> None:
        """
        Count a received chunk, and the time spent waiting for it.

        Raises:
            BodyTooSlowError: the wait was longer than `patience_seconds`.
        """
        if waited_seconds > self.patience_seconds:
            raise BodyTooSlowError
        self._left_seconds -= waited_seconds
        earned_seconds = size_bytes * self._seconds_per_byte if size_bytes else 0.0
        self._credit_seconds = min(
            self._window_seconds, self._credit_seconds - waited_seconds + earned_seconds
        )
