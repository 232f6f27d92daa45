"""The health checks of a relay: whether it announces messages."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from healthingest_service.uploads.errors import UnavailableError
from healthingest_service.uploads.model import Backlog

ANNOUNCEMENTS: Final = "announcements"
"""Name of the check."""


class Announcements:
    """
    Reports a relay as stalled if a failure has lasted for *stalled_seconds*.

    *stalled_since* returns since when the relay has announced nothing. *check_broker* checks the
    broker, also while no message waits. *backlog* returns the number of waiting messages.
    """

    def __init__(
        self,
        *,
        stalled_since: Callable[[], datetime | None],
        check_broker: Callable[[], Awaitable[None]],
        backlog: Callable[[], Awaitable[Backlog]],
        clock: Callable[[], datetime],
        stalled_seconds: float,
    ) -> None:
        self._stalled_since = stalled_since
        self._check_broker = check_broker
        self._backlog = backlog
        self._clock = clock
        self._stalled = timedelta(seconds=stalled_seconds)
        self._broker_lost_since: datetime | None = None

    async def broker(self) -> None:
        """
        Check the broker, and record since when the check has failed.

        Raises what *check_broker* raises.
        """
        began = self._clock()
        try:
            await self._check_broker()
        except BaseException:
            self._broker_lost_since = self._broker_lost_since or began
            raise
        self._broker_lost_since = None

    async def check(self) -> None:
        """
        Check whether the relay announces messages.

        The outbox is read only if the relay has announced nothing for *stalled_seconds*.

        Raises:
            UnavailableError: for *stalled_seconds*, the broker has not answered, or has confirmed
                no message although some wait.
            LedgerUnavailableError: no message was confirmed for *stalled_seconds*, and the outbox
                cannot be read.
        """
        if self._is_long_ago(self._broker_lost_since):
            raise UnavailableError
        if self._is_long_ago(self._stalled_since()) and (await self._backlog()).count:
            raise UnavailableError  # an empty outbox means that another relay has announced them

    def _is_long_ago(self, since: datetime | None) -> bool:
        return since is not None and self._clock() - since >= self._stalled
