"""The lease of a process on the row of an upload that it is storing."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from healthingest_service.uploads.errors import LedgerUnavailableError, UploadNotFoundError

RENEW_AFTER_SHARE: Final = 0.1
"""The share of the lease that passes before `keep` renews it in a transaction."""


class UploadLease:
    """
    Holds the lease on a row while its upload makes progress.

    If the process hangs or ends, the lease expires and the janitor settles the row. *renew* renews
    the lease, and raises if another process has settled the row. *begun_at* is a time before the
    transaction that began the lease: the process may stand still after it.
    """

    def __init__(
        self,
        renew: Callable[[], Awaitable[None]],
        *,
        seconds: float,
        begun_at: datetime,
        clock: Callable[[], datetime],
    ) -> None:
        self._renew = renew
        self._seconds = seconds
        self._clock = clock
        self._begun_at = begun_at

    async def keep(self) -> None:
        """
        Renew the lease, unless it was renewed recently.

        Raises:
            LedgerUnavailableError: the lease may have expired; the upload must fail.
            UploadError: as *renew*.
        """
        if (self._clock() - self._begun_at).total_seconds() <= self._seconds * RENEW_AFTER_SHARE:
            return
        try:
            began = self._clock()
            await self._renew()
        except UploadNotFoundError as error:
            raise LedgerUnavailableError from error
        self._begun_at = began
