"""The values of gaps: runs of days on which nothing came about a subject."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from healthingest_service.studies.model import Pseudonym, StudySlug

RECORD_TYPES_DAYS: Final = 366
"""A subject is expected to send what it sent in the range, or so long before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapSelection:
    """
    In which days of a study to look for gaps, both included, in UTC.

    Each active subject is expected to send `record_type`, or without it each type that it has sent,
    from the day of its enrolment on. One that has withdrawn is expected to send until then.
    """

    study: StudySlug
    first_day: date
    last_day: date
    subject: Pseudonym | None = None
    record_type: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class GapKey:
    """
    A subject, a record type and the first day of a gap; the order of a page.

    `record_type` is empty if the subject has sent no record type.
    """

    subject: str
    record_type: str
    first_day: date


@dataclass(frozen=True, slots=True)
class Gap:
    """A run of whole days in UTC, both included, without a stored upload."""

    key: GapKey
    last_day: date

    @property
    def days(self) -> int:
        """The number of days."""
        return (self.last_day - self.key.first_day).days + 1


@dataclass(frozen=True, slots=True)
class GapPage:
    """Gaps by subject, record type and day; `next_after` is None on the last page."""

    gaps: tuple[Gap, ...]
    next_after: GapKey | None
