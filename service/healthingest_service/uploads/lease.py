"""The hold of a living process on the row of an upload that it is storing."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from healthingest_service.uploads.errors import LedgerUnavailableError, UploadNotFoundError
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.ports import Ledger

YOUNG: Final = 0.1
"""The share of a lease that may be gone before it is worth a transaction to begin it anew."""


class Lease:
    """
    A row `storing` is held while its object comes on, and not longer.

    A process that stands still keeps nothing; others may then settle its row.
    """

    def __init__(
        self, ledger: Ledger, upload_id: UploadId, *, seconds: float, clock: Callable[[], datetime]
    ) -> None:
        self._ledger = ledger
        self._upload_id = upload_id
        self._seconds = seconds
        self._clock = clock
        self._begun_at = clock()

    async def keep(self) -> None:
        """
        Begin it anew, unless it is young.

        Raises:
            LedgerUnavailableError: it may have been lost; nothing was promised.
        """
        if (self._clock() - self._begun_at).total_seconds() <= self._seconds * YOUNG:
            return
        try:
            await self._ledger.renew(self._upload_id, lease_seconds=self._seconds)
        except UploadNotFoundError as error:
            raise LedgerUnavailableError from error
        self._begun_at = self._clock()
