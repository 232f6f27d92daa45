"""The port `StudyUploads`, on SQLite and on PostgreSQL."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.study_uploads import DatabaseStudyUploads
from healthingest_service.studies import decisions
from healthingest_service.studies.model import Pseudonym, StudySlug, SubjectState
from healthingest_service.uploads.coverage_gaps import GapSelection
from healthingest_service.uploads.errors import InvalidCursorError
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.study_uploads import (
    CoverageKey,
    CoverageRow,
    StudySelection,
)
from support.studies import SLUG, study, subject
from support.uploads import NOON, message, upload

ALL = StudySelection(study=SLUG)
DAY = NOON.date()
MIDNIGHT = NOON + timedelta(hours=12)


@pytest.fixture
def found(engine: AsyncEngine) -> DatabaseStudyUploads:
    """The uploads of studies."""
    return DatabaseStudyUploads(engine, timeout_seconds=5)


@pytest.fixture(name="uploads")
async def _uploads(engine: AsyncEngine) -> list[Upload]:
    """Four stored uploads of the study, oldest first, and others that are not of it."""
    studies = DatabaseStudies(engine, timeout_seconds=5)
    ledger = DatabaseLedger(engine, timeout_seconds=5)
    subjects = {}
    for slug, name in ((SLUG, "P-1"), (SLUG, "P-2"), (StudySlug("other"), "P-1")):
        await studies.create(study(slug))
        about = subject(name, of=slug)
        subjects[slug, name] = await studies.change_subject(
            slug, Pseudonym(name), partial(decisions.enrolled, about)
        )
    one, two, other = subjects.values()
    before_midnight = MIDNIGHT - timedelta(microseconds=1)
    of_study = [
        upload(b"1", about=one, at=NOON),
        upload(b"22", about=one, at=before_midnight),
        upload(b"3", about=two, at=before_midnight, record_type="SleepRecord"),
        upload(b"4", about=two, at=MIDNIGHT),
    ]
    for new in (*of_study, upload(b"5", about=other), upload(b"6")):
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=NOON)
    await ledger.begin(upload(b"7", about=one), idempotency_key=None, lease_seconds=60)
    return of_study


async def test_uploads_come_in_pages(found: DatabaseStudyUploads, uploads: list[Upload]) -> None:
    """Newest first, those of the study only."""
    ids = []
    cursor = None
    while True:
        page = await found.page(ALL, limit=2, cursor=cursor)
        ids += [one.id for one in page.uploads]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len(ids) == 5
    assert set(ids) > {one.id for one in uploads}
    assert ids[0] == uploads[3].id
    with pytest.raises(InvalidCursorError):
        await found.page(ALL, limit=2, cursor="x")


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (StudySelection(study=SLUG, subject=Pseudonym("P-2")), [3, 2]),
        (StudySelection(study=SLUG, record_type="SleepRecord"), [2]),
        (StudySelection(study=SLUG, first_day=DAY + timedelta(days=1)), [3]),
        (
            StudySelection(
                study=SLUG,
                subject=Pseudonym("P-2"),
                first_day=DAY,
                last_day=DAY,
            ),
            [2],
        ),
        (StudySelection(study=StudySlug("unknown")), []),
    ],
)
async def test_uploads_are_selected(
    found: DatabaseStudyUploads,
    uploads: list[Upload],
    selection: StudySelection,
    wanted: list[int],
) -> None:
    """By subject, record type and day in UTC."""
    page = await found.page(selection, limit=9)
    assert [one.id for one in page.uploads] == [uploads[n].id for n in wanted]


def row(day: date, name: str, record_type: str, *counts: int) -> CoverageRow:
    """Return a row of the coverage."""
    return CoverageRow(CoverageKey(day, name, record_type), *counts)


@pytest.mark.parametrize("limit", [1, 2, 9])
async def test_stored_uploads_are_counted(
    found: DatabaseStudyUploads, uploads: list[Upload], limit: int
) -> None:
    """By day, subject and type, in pages of any size; an upload in progress does not count."""
    assert uploads
    counted: list[CoverageRow] = []
    after = None
    while True:
        page = await found.coverage(ALL, limit=limit, after=after)
        counted += page.rows
        after = page.next_after
        if after is None:
            break
    assert counted == [
        row(DAY, "P-1", "HeartRateRecord", 2, 6, 3),
        row(DAY, "P-2", "SleepRecord", 1, 3, 1),
        row(DAY + timedelta(days=1), "P-2", "HeartRateRecord", 1, 3, 1),
    ]


async def test_lists_the_announcements_about_a_subject(
    engine: AsyncEngine, found: DatabaseStudyUploads, uploads: list[Upload]
) -> None:
    """Newest first, and from a place on; uploads that wait are left out."""
    outbox = DatabaseOutbox(engine, timeout_seconds=5)
    subject_1 = Pseudonym("P-1")
    assert await found.announcements(SLUG, subject_1, limit=9) == []
    async with outbox.claim(limit=9) as batch:
        for second, one in enumerate(batch.messages):
            await batch.announced(one.id, at=NOON + timedelta(seconds=second))
    listed = await found.announcements(SLUG, subject_1, limit=9)
    about = {one.id for one in uploads if one.subject == subject_1}
    assert {one.upload_id for one in listed} == about
    assert [one.announced_at for one in listed] == sorted(
        (one.announced_at for one in listed), reverse=True
    )
    first = (listed[0].announced_at, listed[0].upload_id)
    assert await found.announcements(SLUG, subject_1, limit=9, before=first) == listed[1:]
    assert await found.announcements(SLUG, subject_1, limit=1) == listed[:1]


def day(number: int) -> date:
    """Return a day of March."""
    return date(2026, 3, number)


def at_day(number: int, hour: int = 12) -> datetime:
    """Return a time on it."""
    return datetime(2026, 3, number, hour, tzinfo=UTC)


@pytest.fixture(name="sent")
async def _sent(engine: AsyncEngine) -> None:
    """
    Subjects with gaps.

    P-1 was enrolled on March 3 and sent two types, one of them before the range only; P-2 withdrew
    on March 8; P-3 sent nothing; P-4 is being erased, and so is no longer expected to send.
    """
    studies = DatabaseStudies(engine, timeout_seconds=5)
    ledger = DatabaseLedger(engine, timeout_seconds=5)
    await studies.create(study(SLUG))
    subjects = {}
    for name, enrolled in (("P-1", 3), ("P-2", 1), ("P-3", 9), ("P-4", 1)):
        about = subject(name, at=at_day(enrolled))
        subjects[name] = await studies.change_subject(
            SLUG, Pseudonym(name), partial(decisions.enrolled, about)
        )
    for number, (name, on, hour, record_type) in enumerate(
        (
            ("P-1", 3, 0, "A"),
            ("P-1", 4, 23, "A"),
            ("P-1", 4, 23, "A"),
            ("P-1", 8, 12, "A"),
            ("P-1", 3, 12, "B"),
            ("P-2", 5, 12, "A"),
            ("P-4", 5, 12, "A"),
        )
    ):
        new = upload(
            str(number).encode(), about=subjects[name], at=at_day(on, hour), record_type=record_type
        )
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=new.received_at)
    begun = upload(b"begun", about=subjects["P-1"], at=at_day(6), record_type="A")
    await ledger.begin(begun, idempotency_key=None, lease_seconds=60)
    await studies.change_subject(
        SLUG, Pseudonym("P-2"), lambda one: decisions.withdrawn(one, at=at_day(8))
    )
    leaving = replace(subjects["P-4"], state=SubjectState.ERASING)
    await studies.change_subject(SLUG, Pseudonym("P-4"), lambda _: leaving)


GAPS = [
    ("P-1", "A", 5, 7),
    ("P-1", "A", 9, 10),
    ("P-1", "B", 4, 10),
    ("P-2", "A", 1, 4),
    ("P-2", "A", 6, 8),
    ("P-3", "", 9, 10),
]


@pytest.mark.parametrize("limit", [1, 2, 4, 9])
@pytest.mark.usefixtures("sent")
async def test_finds_the_days_without_uploads(found: DatabaseStudyUploads, limit: int) -> None:
    """From the enrolment until the withdrawal, sorted, in pages of any size."""
    selection = GapSelection(study=SLUG, first_day=day(1), last_day=day(10))
    gaps: list[tuple[str, str, int, int]] = []
    after = None
    while True:
        page = await found.gaps(selection, limit=limit, after=after)
        gaps += [
            (one.key.subject, one.key.record_type, one.key.first_day.day, one.last_day.day)
            for one in page.gaps
        ]
        assert all(one.days == (one.last_day - one.key.first_day).days + 1 for one in page.gaps)
        after = page.next_after
        if after is None:
            break
    assert gaps == GAPS


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (
            GapSelection(study=SLUG, first_day=day(6), last_day=day(9)),
            [
                ("P-1", "A", 6, 7),
                ("P-1", "A", 9, 9),
                ("P-1", "B", 6, 9),
                ("P-2", "A", 6, 8),
                ("P-3", "", 9, 9),
            ],
        ),
        (
            GapSelection(study=SLUG, first_day=day(4), last_day=day(8), record_type="B"),
            [("P-1", "B", 4, 8), ("P-2", "B", 4, 8)],
        ),
        (
            GapSelection(study=SLUG, first_day=day(1), last_day=day(9), subject=Pseudonym("P-3")),
            [("P-3", "", 9, 9)],
        ),
        (GapSelection(study=SLUG, first_day=day(3), last_day=day(3)), [("P-2", "", 3, 3)]),
        (GapSelection(study=StudySlug("other"), first_day=day(1), last_day=day(9)), []),
    ],
)
@pytest.mark.usefixtures("sent")
async def test_gaps_are_selected(
    found: DatabaseStudyUploads, selection: GapSelection, wanted: list[tuple[str, str, int, int]]
) -> None:
    """
    By days, subject and type.

    A type that was sent before the range is missing in it; one that is asked for is missing for
    each subject without it.
    """
    page = await found.gaps(selection, limit=99)
    assert [
        (one.key.subject, one.key.record_type, one.key.first_day.day, one.last_day.day)
        for one in page.gaps
    ] == wanted
