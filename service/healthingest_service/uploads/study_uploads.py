"""The port that lists and counts the uploads of a study."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.coverage_gaps import GapKey, GapPage, GapSelection
from healthingest_service.uploads.model import HistoryPage, UploadId


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySelection:
    """
    Which uploads of a study; None means each one.

    `first_day` and `last_day` are days of receipt in UTC, both included.
    """

    study: StudySlug
    subject: Pseudonym | None = None
    record_type: str | None = None
    first_day: date | None = None
    last_day: date | None = None


@dataclass(frozen=True, slots=True, order=True)
class CoverageKey:
    """A day in UTC, a subject and a record type; the order of a page."""

    day: date
    subject: str
    record_type: str


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """The number of stored uploads of a day, subject and type, of their records and bytes."""

    key: CoverageKey
    uploads: int
    records: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class CoveragePage:
    """Rows by day, subject and record type; `next_after` is None on the last page."""

    rows: tuple[CoverageRow, ...]
    next_after: CoverageKey | None


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announced upload about a subject: consumers of its record type may have its data."""

    upload_id: UploadId
    record_type: str
    correlation_id: str
    announced_at: datetime


class StudyUploads(Protocol):
    """The uploads of studies other than `default`."""

    async def page(
        self, selection: StudySelection, *, limit: int, cursor: str | None = None
    ) -> HistoryPage:
        """
        Return a page of the uploads, newest first, at most *limit*.

        Raises:
            InvalidCursorError: *cursor* was not issued by this service.
            LedgerUnavailableError: the database cannot be read.
        """
        ...

    async def coverage(
        self, selection: StudySelection, *, limit: int, after: CoverageKey | None = None
    ) -> CoveragePage:
        """
        Return the counts of the stored uploads, at most *limit* rows after the row *after*.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...

    async def gaps(
        self, selection: GapSelection, *, limit: int, after: GapKey | None = None
    ) -> GapPage:
        """
        Return the gaps, at most *limit* after the gap *after*.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...

    async def announcements(
        self,
        study: StudySlug,
        subject: Pseudonym,
        *,
        limit: int,
        before: tuple[datetime, UploadId] | None = None,
    ) -> Sequence[Announcement]:
        """
        Return up to *limit* announcements about a subject, newest first, before this time and id.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...
