"""The port `StudyUploads` with the database."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Date, func, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.adapters.database.gaps import (
    OF_SUBJECTS,
    STORED,
    gap_of,
    gap_query,
    start_of,
)
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.studies.model import Pseudonym, StudySlug
from healthingest_service.uploads.coverage_gaps import GapKey, GapPage, GapSelection
from healthingest_service.uploads.model import HistoryPage, UploadId
from healthingest_service.uploads.study_uploads import (
    Announcement,
    CoverageKey,
    CoveragePage,
    CoverageRow,
    StudySelection,
    StudyUploads,
)


class DatabaseStudyUploads(StudyUploads):
    """Rows of `upload` by study, with the partial indexes of studies."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    @override
    async def page(
        self, selection: StudySelection, *, limit: int, cursor: str | None = None
    ) -> HistoryPage:
        wanted = select(UploadRow).where(*_conditions(selection))
        if cursor is not None:
            wanted = wanted.where(
                tuple_(UploadRow.received_at, UploadRow.id) < rows.parse_cursor(cursor)
            )
        wanted = wanted.order_by(UploadRow.received_at.desc(), UploadRow.id.desc()).limit(limit + 1)
        async with self._transaction(selection.study) as connection:
            uploads = tuple(rows.upload(row) for row in await connection.execute(wanted))
        more = len(uploads) > limit
        return HistoryPage(uploads[:limit], rows.cursor(uploads[limit - 1]) if more else None)

    @override
    async def coverage(
        self, selection: StudySelection, *, limit: int, after: CoverageKey | None = None
    ) -> CoveragePage:
        utc = is_postgresql(self._engine)
        day = func.date(
            func.timezone("UTC", UploadRow.received_at) if utc else UploadRow.received_at
        )
        key = (day, UploadRow.subject, UploadRow.record_type)
        wanted = (
            select(
                day.label("day"),
                UploadRow.subject,
                UploadRow.record_type,
                func.count().label("uploads"),
                func.sum(UploadRow.record_count).label("records"),
                func.sum(UploadRow.file_size_bytes).label("size_bytes"),
            )
            .where(*_conditions(selection), UploadRow.state.in_(STORED))
            .group_by(text("1"), UploadRow.subject, UploadRow.record_type)
            .order_by(text("1"), UploadRow.subject, UploadRow.record_type)
            .limit(limit + 1)
        )
        if after is not None:
            after_day = literal(after.day, Date()) if utc else literal(after.day.isoformat())
            wanted = wanted.where(
                UploadRow.received_at >= start_of(after.day),
                tuple_(*key)
                > tuple_(after_day, literal(after.subject), literal(after.record_type)),
            )
        async with self._transaction(selection.study) as connection:
            found = [_row(row) for row in await connection.execute(wanted)]
        more = len(found) > limit
        return CoveragePage(tuple(found[:limit]), found[limit - 1].key if more else None)

    @override
    async def gaps(
        self, selection: GapSelection, *, limit: int, after: GapKey | None = None
    ) -> GapPage:
        wanted = gap_query(selection, after, is_postgresql=is_postgresql(self._engine))
        async with self._transaction(selection.study) as connection:
            found = [gap_of(row) for row in await connection.execute(wanted.limit(limit + 1))]
        more = len(found) > limit
        return GapPage(tuple(found[:limit]), found[limit - 1].key if more else None)

    @override
    async def announcements(
        self,
        study: StudySlug,
        subject: Pseudonym,
        *,
        limit: int,
        before: tuple[datetime, UploadId] | None = None,
    ) -> Sequence[Announcement]:
        wanted = (
            select(
                UploadRow.id,
                UploadRow.record_type,
                UploadRow.correlation_id,
                UploadRow.announced_at,
            )
            .where(
                *_conditions(StudySelection(study=study, subject=subject)),
                UploadRow.announced_at.is_not(None),
            )
            .order_by(UploadRow.announced_at.desc(), UploadRow.id.desc())
            .limit(limit)
        )
        if before is not None:
            wanted = wanted.where(tuple_(UploadRow.announced_at, UploadRow.id) < before)
        async with self._transaction(study) as connection:
            return [
                Announcement(UploadId(row.id), row.record_type, row.correlation_id, at)
                for row in await connection.execute(wanted)
                if (at := row.announced_at) is not None
            ]

    def _transaction(self, study: StudySlug) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False, study=study
        )


def _row(row: Any) -> CoverageRow:  # noqa: ANN401 - a row of labels has no type
    day = row.day if isinstance(row.day, date) else date.fromisoformat(row.day)
    key = CoverageKey(day, row.subject, row.record_type)
    return CoverageRow(key, row.uploads, int(row.records), int(row.size_bytes))


def _conditions(selection: StudySelection) -> list[Any]:
    conditions: list[Any] = [OF_SUBJECTS, UploadRow.study == selection.study]
    if selection.subject is not None:
        conditions.append(UploadRow.subject == selection.subject)
    if selection.record_type is not None:
        conditions.append(UploadRow.record_type == selection.record_type)
    if selection.first_day is not None:
        conditions.append(UploadRow.received_at >= start_of(selection.first_day))
    if selection.last_day is not None:
        conditions.append(UploadRow.received_at < start_of(selection.last_day) + timedelta(days=1))
    return conditions
