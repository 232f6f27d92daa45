"""Limits of the backlog of messages; above them, no upload is accepted."""

from dataclasses import dataclass
from typing import Final

import structlog

from healthingest_service.uploads.errors import UnavailableError
from healthingest_service.uploads.model import Backlog

BACKLOG_OVER_LIMIT: Final = "backlog_over_limit"
BACKLOG_WITHIN_LIMIT: Final = "backlog_within_limit"


@dataclass(frozen=True, slots=True)
class BacklogLimits:
    """Limits of the number of waiting messages, and of the age of the oldest one."""

    messages: int
    age_seconds: float

    def allow(self, waiting: Backlog) -> bool:
        """Return whether the backlog is within both limits."""
        return waiting.count <= self.messages and waiting.oldest_age_seconds <= self.age_seconds


class BacklogWatch:
    """Compares the backlog with its limits, and logs when it exceeds them or returns below."""

    def __init__(self, limits: BacklogLimits) -> None:
        self._limits = limits
        self._is_over = False
        self._log = structlog.get_logger("healthingest.backlog")

    def check(self, waiting: Backlog) -> None:
        """
        Check the current backlog.

        Raises:
            UnavailableError: the backlog exceeds a limit.
        """
        is_over = not self._limits.allow(waiting)
        if is_over != self._is_over:
            self._is_over = is_over
            event = BACKLOG_OVER_LIMIT if is_over else BACKLOG_WITHIN_LIMIT
            age_seconds = round(waiting.oldest_age_seconds)
            self._log.warning(event, messages=waiting.count, oldest_age_seconds=age_seconds)
        if is_over:
            raise UnavailableError
