"""The port `StudyUploads`, on SQLite and on PostgreSQL."""

from datetime import date, timedelta
from functools import partial

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.study_uploads import DatabaseStudyUploads
from healthingest_service.studies import decisions
from healthingest_service.studies.model import Pseudonym, StudySlug
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
