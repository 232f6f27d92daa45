"""How much may wait to be announced before no more is taken in."""

from dataclasses import dataclass
from typing import Final

import structlog

from healthingest_service.uploads.errors import UnavailableError
from healthingest_service.uploads.model import Backlog

BACKLOG_OVER_LIMIT: Final = "backlog_over_limit"
BACKLOG_WITHIN_LIMIT: Final = "backlog_within_limit"


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """Whichever is passed first."""

    messages: int
    age_seconds: float

    def allow(self, waiting: Backlog) -> bool:
        """Whether more may be taken in."""
        return waiting.count <= self.messages and waiting.oldest_age_seconds <= self.age_seconds


class BacklogWatch:
    """Holds a backlog against its limits, again and again, and tells when it passes them."""

    def __init__(self, limits: BacklogLimits) -> None:
        self._limits = limits
        self._is_over = False
        self._log = structlog.get_logger("healthingest.backlog")

    def look(self, waiting: Backlog) -> None:
        """
        Look at the backlog of now.

        Raises:
            UnavailableError: it is over a limit.
        """
        is_over = not self._limits.allow(waiting)
        if is_over != self._is_over:
            self._is_over = is_over
            event = BACKLOG_OVER_LIMIT if is_over else BACKLOG_WITHIN_LIMIT
            age_seconds = round(waiting.oldest_age_seconds)
            self._log.warning(event, messages=waiting.count, oldest_age_seconds=age_seconds)
        if is_over:
            raise UnavailableError
