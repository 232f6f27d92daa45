"""Discrepancies between object store and database: counted for metrics, written to the log."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import structlog

from healthingest_service.uploads.errors import UploadError
from healthingest_service.uploads.model import UploadId
from healthingest_service.uploads.upkeep_ports import UnfinishedPut

DISCREPANCY_FOUND: Final = "consistency_discrepancy_found"
LOST_OBJECT_FOUND: Final = "consistency_lost_object_found"
UNFINISHED_PUT_ABORTED: Final = "consistency_put_aborted"
LATE_OBJECT_ERASED: Final = "consistency_late_object_erased"
CHECK_FINISHED: Final = "consistency_check_finished"
CHECK_FAILED: Final = "consistency_check_failed"
_LINES_A_KIND: Final = 1000
"""Maximum number of logged discrepancies of a kind in one check; all of them are counted."""


class Discrepancy(StrEnum):
    """The kinds of discrepancies."""

    OBJECT_WITHOUT_ROW = "object_without_row"
    ROW_WITHOUT_OBJECT = "row_without_object"
    OTHER_BYTES = "other_bytes"
    """The object has another size or hash than the database says."""
    UNREADABLE = "unreadable"
    """The store lists the object, but refuses to return it."""


@dataclass(frozen=True, slots=True)
class ConsistencyCounts:
    """Counts since the process started."""

    discrepancies: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(dict.fromkeys(Discrepancy, 0))
    )
    listed_objects: int = 0
    verified_objects: int = 0
    verified_bytes: int = 0
    aborted_puts: int = 0
    erased_objects: int = 0

    @property
    def work(self) -> dict[str, int]:
        """All counts except those of discrepancies, by name."""
        names = (
            "listed_objects",
            "verified_objects",
            "verified_bytes",
            "aborted_puts",
            "erased_objects",
        )
        return {name: getattr(self, name) for name in names}


class Discrepancies:
    """
    Counts and logs the results of consistency checks in this process.

    `finished_at` is when a check last finished in any process.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._counts = ConsistencyCounts()
        self._before = self._counts
        self.finished_at: datetime | None = None
        self._log = structlog.get_logger("healthingest.consistency")

    @property
    def counts(self) -> ConsistencyCounts:
        """The counts since the process started."""
        return self._counts

    def listed(self, objects: int) -> None:
        """Count *objects* of a compared page."""
        self._counts = replace(self._counts, listed_objects=self._counts.listed_objects + objects)

    def verified(self, size_bytes: int) -> None:
        """Count an object that was read completely."""
        self._counts = replace(
            self._counts,
            verified_objects=self._counts.verified_objects + 1,
            verified_bytes=self._counts.verified_bytes + size_bytes,
        )

    def found(self, kind: Discrepancy, key: str, upload_id: UploadId | None) -> None:
        """Count and log a discrepancy; *upload_id* is None for an object without a row."""
        count = self._counts.discrepancies[kind] + 1
        self._counts = replace(
            self._counts,
            discrepancies=MappingProxyType({**self._counts.discrepancies, kind: count}),
        )
        if count - self._before.discrepancies[kind] <= _LINES_A_KIND:
            about = None if upload_id is None else str(upload_id)
            self._log.warning(DISCREPANCY_FOUND, kind=kind.value, object_key=key, upload_id=about)

    def found_again(self, key: str, upload_id: UploadId) -> None:
        """Log that the object of a lost upload was found again."""
        self._log.info(LOST_OBJECT_FOUND, object_key=key, upload_id=str(upload_id))

    def aborted(self, put: UnfinishedPut) -> None:
        """Count and log an aborted PUT of an ended process."""
        self._counts = replace(self._counts, aborted_puts=self._counts.aborted_puts + 1)
        self._log.info(
            UNFINISHED_PUT_ABORTED, object_key=put.key, begun_at=put.begun_at.isoformat()
        )

    def erased(self) -> None:
        """Count and log a late object of an erased upload, which was removed."""
        self._counts = replace(self._counts, erased_objects=self._counts.erased_objects + 1)
        self._log.warning(LATE_OBJECT_ERASED)

    def finished(self) -> None:
        """Log the counts of the check that has finished."""
        now = self._counts
        before = self._before
        self._before = now
        self.finished_at = self._clock()
        self._log.info(
            CHECK_FINISHED,
            **{name: count - before.work[name] for name, count in now.work.items()},
            **{
                kind.value: now.discrepancies[kind] - before.discrepancies[kind]
                for kind in Discrepancy
            },
        )

    def failed(self, error: UploadError, *, what: str) -> None:
        """Log that *what*, a step of the check, ended early with *error*."""
        self._log.warning(CHECK_FAILED, what=what, error=type(error).__name__)
