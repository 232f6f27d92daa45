"""Does a relay announce? What its readiness says, and through it the platform."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Final

from healthingest_service.uploads.errors import UnavailableError
from healthingest_service.uploads.model import Backlog

ANNOUNCEMENTS: Final = "announcements"
"""Name of the check."""


class Announcements:
    """
    Trouble counts when it has lasted for *stalled_seconds*.

    A relay is in order from its start until then.

    *stalled_since* is the relay's own view, *check_broker* asks the broker also while there is
    nothing to announce, *backlog* says what waits.
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
        Ask the broker, and note since when it does not answer.

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
        Whether messages go out. The outbox is asked only when the relay has failed for too long.

        Raises:
            UnavailableError: for too long none was confirmed though some wait, or the broker does
                not answer.
            LedgerUnavailableError: for too long none was confirmed, and nobody knows whether some
                wait.
        """
        if self._is_long_ago(self._broker_lost_since):
            raise UnavailableError
        if self._is_long_ago(self._stalled_since()) and (await self._backlog()).count:
            raise UnavailableError  # else another relay has announced what this one could not

    def _is_long_ago(self, since: datetime | None) -> bool:
        return since is not None and self._clock() - since >= self._stalled
