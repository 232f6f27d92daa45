"""The use case that reports studies whose retention contradicts the object lock of the bucket."""

from collections.abc import Callable
from typing import Final

import structlog

from healthingest_service.erasure.ports import Retention

RETENTION_BELOW_LOCK: Final = "retention_below_object_lock"
_MOST: Final = 1000


class CheckRetention:
    """
    Reports the studies that keep data for fewer days than the object store locks each file.

    Their policy was set before the lock. Each is logged once in a process, and all are counted.
    """

    def __init__(
        self, retention: Retention, *, lock_days: int, report: Callable[[int], None]
    ) -> None:
        self._retention = retention
        self._lock_days = lock_days
        self._report = report
        self._logged: frozenset[str] = frozenset()
        self._logger = structlog.get_logger("healthingest.erasure")

    async def __call__(self) -> None:
        """
        Check all studies once.

        Raises:
            LedgerUnavailableError: the database gave no clear answer.
        """
        found = frozenset(await self._retention.below(self._lock_days, limit=_MOST))
        for study in sorted(found - self._logged):
            self._logger.warning(RETENTION_BELOW_LOCK, study=study, lock_days=self._lock_days)
        self._logged = found
        self._report(len(found))
