"""The routes that list and count the uploads of a study."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import StreamingResponse

from healthingest_contract.topology import RECORD_TYPE_PATTERN
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import note_subject
from healthingest_service.api.dependencies import ApiDeps, InStudy
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.uploads import HistoryView, history_view
from healthingest_service.studies.model import PSEUDONYM_PATTERN, Pseudonym, StudyAccess, StudySlug
from healthingest_service.uploads.study_uploads import (
    CoverageKey,
    CoveragePage,
    CoverageRow,
    StudySelection,
)

CSV_TYPE: Final = "text/csv"
_MAX_DAYS: Final = 366
_DEFAULT_DAYS: Final = 30
CSV_ROWS: Final = 1000
_COLUMNS: Final = ("day", "subject", "record_type", "uploads", "records", "size_bytes")
SubjectFilter = Annotated[str | None, Field(pattern=f"^{PSEUDONYM_PATTERN}$")]
TypeFilter = Annotated[str | None, Field(pattern=f"^{RECORD_TYPE_PATTERN}$")]
EARLIEST: Final = date(2000, 1, 1)
_LATEST: Final = date(9999, 12, 30)
Day = Annotated[date | None, Field(ge=EARLIEST, le=_LATEST)]


class UploadsFilter(BaseModel):
    """Which uploads: those about a subject, of a record type, or all."""

    model_config = ConfigDict(extra="forbid")

    subject: SubjectFilter = None
    record_type: TypeFilter = None


class StudyUploadsQuery(UploadsFilter):
    """Filters and paging of the uploads of a study; `day` is a day in UTC."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Field(max_length=256)] = None
    day: Day = None


class CoverageQuery(UploadsFilter):
    """Filters and paging of the coverage: days in UTC, both included, at most 366."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    after_day: Day = None
    after_subject: SubjectFilter = None
    after_type: TypeFilter = None
    first_day: Day = None
    last_day: Day = None
    format: Literal["json", "csv"] = "json"


class CoverageRowView(BaseModel):
    """The counts of a day, subject and record type."""

    day: date
    subject: str
    record_type: str
    uploads: int
    records: int
    size_bytes: int


class CoverageKeyView(BaseModel):
    """Where the next page begins: `after_day`, `after_subject` and `after_type` of its request."""

    day: date
    subject: str
    record_type: str


class CoverageView(BaseModel):
    """Counts by day, subject and record type; `next_after` is null on the last page."""

    first_day: date
    last_day: date
    coverage: list[CoverageRowView]
    next_after: CoverageKeyView | None


def routes() -> APIRouter:
    """Return the router of these routes."""
    router = APIRouter(tags=["studies"])
    answers = problem_answers(400, 401, 403, 404, 422, 429, 503)
    router.add_api_route(
        "/v1/studies/{study}/uploads",
        list_study_uploads,
        methods=["GET"],
        operation_id="listStudyUploads",
        responses=answers,
    )
    router.add_api_route(
        "/v1/studies/{study}/coverage",
        get_coverage,
        methods=["GET"],
        operation_id="getCoverage",
        response_model=CoverageView,
        responses=answers | {200: {"content": {CSV_TYPE: {"schema": {"type": "string"}}}}},
    )
    return router


async def list_study_uploads(
    request: Request, deps: ApiDeps, access: InStudy, query: Annotated[StudyUploadsQuery, Query()]
) -> HistoryView:
    """List the uploads of a study, newest first."""
    await note_filter(request, deps, access, query)
    selection = StudySelection(
        study=access.study.slug,
        subject=pseudonym_of(query.subject),
        record_type=query.record_type,
        first_day=query.day,
        last_day=query.day,
    )
    page = await deps.study_uploads.page(selection, limit=query.limit, cursor=query.cursor)
    return await history_view(deps, page, study=access.study.slug)


async def get_coverage(
    request: Request, deps: ApiDeps, access: InStudy, query: Annotated[CoverageQuery, Query()]
) -> Response:
    """
    Count the stored uploads of a study by day, subject and record type.

    Without days it counts the last 30. CSV has all rows, JSON one page.
    """
    await note_filter(request, deps, access, query)
    selection = _selection(access.study.slug, query, deps.clock().astimezone(UTC))
    after = _after(query)
    if query.format == "csv":
        name = f'attachment; filename="{access.study.slug}-coverage.csv"'
        first = await deps.study_uploads.coverage(selection, limit=CSV_ROWS, after=after)
        return StreamingResponse(
            _csv(deps, selection, first), headers={"Content-Disposition": name}, media_type=CSV_TYPE
        )
    page = await deps.study_uploads.coverage(selection, limit=query.limit, after=after)
    following = page.next_after
    view = CoverageView(
        first_day=selection.first_day or EARLIEST,
        last_day=selection.last_day or EARLIEST,
        coverage=[CoverageRowView.model_validate(_values(row)) for row in page.rows],
        next_after=None
        if following is None
        else CoverageKeyView.model_validate(following, from_attributes=True),
    )
    return Response(view.model_dump_json(), media_type="application/json")


async def note_filter(
    request: Request, deps: ApiDependencies, access: StudyAccess, query: UploadsFilter
) -> None:
    """Note the subject of the filter for the audit log."""
    if query.subject is not None:
        found = await deps.studies.subject(access.study.slug, Pseudonym(query.subject))
        await note_subject(request, deps, found)


def chosen_days(
    first_day: date | None, last_day: date | None, *, default: date
) -> tuple[date, date]:
    """
    Return the first and the last day of a range: 30 days up to *default*, as far as none are given.

    Raises:
        RequestValidationError: the last day is before the first one, or more than a year after it.
    """
    last = last_day or default
    first = first_day or last - timedelta(days=_DEFAULT_DAYS - 1)
    if not timedelta() <= last - first < timedelta(days=_MAX_DAYS):
        raise RequestValidationError([{"loc": ("query", "first_day"), "type": "days_out_of_range"}])
    return first, last


def _selection(study: StudySlug, query: CoverageQuery, now: datetime) -> StudySelection:
    """
    Return the selection with both days.

    Raises:
        RequestValidationError: the days are out of range.
    """
    first_day, last_day = chosen_days(query.first_day, query.last_day, default=now.date())
    return StudySelection(
        study=study,
        subject=pseudonym_of(query.subject),
        record_type=query.record_type,
        first_day=first_day,
        last_day=last_day,
    )


def _after(query: CoverageQuery) -> CoverageKey | None:
    """
    Return the row after which the page begins.

    Raises:
        RequestValidationError: only some of the three values are given.
    """
    day = query.after_day
    subject = query.after_subject
    record_type = query.after_type
    if day is None and subject is None and record_type is None:
        return None
    if day is None or subject is None or record_type is None:
        raise RequestValidationError([{"loc": ("query", "after_day"), "type": "missing"}])
    return CoverageKey(day, subject, record_type)


async def _csv(
    deps: ApiDependencies, selection: StudySelection, page: CoveragePage
) -> AsyncIterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    while True:
        lines = io.StringIO()
        csv.DictWriter(lines, _COLUMNS).writerows(_values(row) for row in page.rows)
        yield lines.getvalue()
        if page.next_after is None:
            return
        page = await deps.study_uploads.coverage(selection, limit=CSV_ROWS, after=page.next_after)


def _values(row: CoverageRow) -> dict[str, object]:
    key = row.key
    counts = (row.uploads, row.records, row.size_bytes)
    return dict(zip(_COLUMNS, (key.day, key.subject, key.record_type, *counts), strict=True))


def pseudonym_of(text: str | None) -> Pseudonym | None:
    """Return the subject of a filter; None: there is no such filter."""
    return None if text is None else Pseudonym(text)
