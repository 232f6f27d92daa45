"""How slow a body may come. Pure: it is told the time that was spent waiting for the client."""

import math

from healthingest_service.uploads.errors import BodyTooSlowError


class Pace:
    """
    A client's credit of time, which waiting uses up and bytes earn.

    *min_bytes_per_second* (0: any rate) holds over every stretch of *window_seconds*: credit never
    grows beyond the window, so bytes that came at once buy no more silence than that. The body as a
    whole has *deadline_seconds*.
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
        """How long the next chunk may take."""
        return max(0.0, min(self._credit_seconds, self._left_seconds))

    def came(self, size_bytes: int, *, waited_seconds: float) -> None:
        """
        Count a chunk and the time that it took.

        Raises:
            BodyTooSlowError: it took too long.
        """
        if waited_seconds > self.patience_seconds:
            raise BodyTooSlowError
        self._left_seconds -= waited_seconds
        earned_seconds = size_bytes * self._seconds_per_byte if size_bytes else 0.0
        self._credit_seconds = min(
            self._window_seconds, self._credit_seconds - waited_seconds + earned_seconds
        )
