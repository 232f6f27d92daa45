"""
The query for gaps: the days between uploads, found with one statement.

For each subject and record type the days with uploads are sorted, between the day before and the
day after the range. A gap is what lies between two neighbours. Days are numbers, as those of
`date.toordinal`, because the databases differ in arithmetic with dates.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import (
    CTE,
    Date,
    Integer,
    Select,
    and_,
    case,
    cast,
    func,
    literal,
    select,
    text,
    tuple_,
    union_all,
)

from healthingest_service.adapters.database.study_tables import SubjectRow
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.studies.model import SubjectState
from healthingest_service.uploads.coverage_gaps import (
    RECORD_TYPES_DAYS,
    Gap,
    GapKey,
    GapSelection,
)
from healthingest_service.uploads.model import UploadState

OF_SUBJECTS: Final = text("upload.subject <> ''")
"""A constant, so that PostgreSQL uses the partial indexes."""
STORED: Final = (UploadState.STORED, UploadState.ANNOUNCED)
_ORIGIN: Final = date(2000, 1, 1)
"""Not `date.min`, which the driver of PostgreSQL takes for minus infinity."""
_JULIAN_DAY_OF_ORDINAL_0: Final = 1_721_424.5
"""SQLite, function `julianday`: 1721425.5 is the first day of the year 1, whose ordinal is 1."""


def start_of(day: date) -> datetime:
    """Return the beginning of a day in UTC."""
    return datetime.combine(day, time.min, UTC)


def gap_query(selection: GapSelection, after: GapKey | None, *, is_postgresql: bool) -> Select[Any]:
    """Return the query for the gaps of *selection* after *after*, sorted."""
    expected, seen = _expected(selection, after, is_postgresql=is_postgresql)
    key = (expected.c.subject, expected.c.record_type)
    with_upload = (
        select(*key, seen.c.day)
        .join_from(
            expected,
            seen,
            and_(
                seen.c.subject == expected.c.subject,
                seen.c.record_type == expected.c.record_type,
            ),
        )
        .where(seen.c.day.between(expected.c.first_day, expected.c.last_day))
    )
    marks = union_all(
        select(*key, (expected.c.first_day - 1).label("day")),
        with_upload,
        select(*key, (expected.c.last_day + 1).label("day")),
    ).cte("marks")
    before = func.lag(marks.c.day).over(
        partition_by=(marks.c.subject, marks.c.record_type), order_by=marks.c.day
    )
    between = select(
        marks.c.subject,
        marks.c.record_type,
        (before + 1).label("first_day"),
        (marks.c.day - 1).label("last_day"),
    ).cte("gap")
    place = (between.c.subject, between.c.record_type, between.c.first_day)
    wanted = select(between).where(between.c.first_day <= between.c.last_day).order_by(*place)
    if after is None:
        return wanted
    return wanted.where(
        tuple_(*place)
        > tuple_(
            literal(after.subject),
            literal(after.record_type),
            literal(after.first_day.toordinal()),
        )
    )


def _expected(
    selection: GapSelection, after: GapKey | None, *, is_postgresql: bool
) -> tuple[CTE, CTE]:
    """Return the days on which each subject should send each type, and those on which it did."""
    first = selection.first_day.toordinal()
    last = selection.last_day.toordinal()
    enrolled = _ordinal(SubjectRow.enrolled_at, is_postgresql=is_postgresql)
    left = _ordinal(SubjectRow.changed_at, is_postgresql=is_postgresql)
    has_left = and_(SubjectRow.state == SubjectState.WITHDRAWN, left < last)
    person = select(
        SubjectRow.pseudonym.label("subject"),
        case((enrolled > first, enrolled), else_=first).label("first_day"),
        case((has_left, left), else_=last).label("last_day"),
    ).where(
        SubjectRow.study == selection.study,
        SubjectRow.state.in_((SubjectState.ACTIVE, SubjectState.WITHDRAWN)),
    )
    seen = select(
        UploadRow.subject,
        UploadRow.record_type,
        _ordinal(UploadRow.received_at, is_postgresql=is_postgresql).label("day"),
    ).where(
        OF_SUBJECTS,
        UploadRow.study == selection.study,
        UploadRow.received_at >= start_of(selection.first_day) - timedelta(days=RECORD_TYPES_DAYS),
        UploadRow.received_at < start_of(selection.last_day) + timedelta(days=1),
        UploadRow.state.in_(STORED),
    )
    if selection.subject is not None:
        person = person.where(SubjectRow.pseudonym == selection.subject)
        seen = seen.where(UploadRow.subject == selection.subject)
    if selection.record_type is not None:
        seen = seen.where(UploadRow.record_type == selection.record_type)
    if after is not None:
        person = person.where(SubjectRow.pseudonym >= after.subject)
        seen = seen.where(UploadRow.subject >= after.subject)
    people = person.cte("person")
    sent = seen.distinct().cte("seen")
    types = select(sent.c.subject, sent.c.record_type).distinct().cte("types")
    expected = (
        select(
            people.c.subject,
            func.coalesce(types.c.record_type, selection.record_type or "").label("record_type"),
            people.c.first_day,
            people.c.last_day,
        )
        .outerjoin_from(people, types, types.c.subject == people.c.subject)
        .where(people.c.first_day <= people.c.last_day)
    )
    return expected.cte("expected"), sent


# ANN401: an expression of either database
def _ordinal(at: Any, *, is_postgresql: bool) -> Any:  # noqa: ANN401
    """Return the number of the day of a time, in UTC."""
    if is_postgresql:
        days = cast(func.timezone("UTC", at), Date()) - literal(_ORIGIN, Date())
        return days + _ORIGIN.toordinal()
    return cast(func.julianday(func.date(at)) - _JULIAN_DAY_OF_ORDINAL_0, Integer)


# ANN401: a row of labels has no type
def gap_of(row: Any) -> Gap:  # noqa: ANN401
    """Convert a row of `gap_query`."""
    key = GapKey(row.subject, row.record_type, date.fromordinal(row.first_day))
    return Gap(key, date.fromordinal(row.last_day))
