"""The route that lists the gaps in the coverage of a study."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import ApiDeps, InStudy
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.study_uploads import (
    CSV_ROWS,
    CSV_TYPE,
    Day,
    SubjectFilter,
    TypeFilter,
    UploadsFilter,
    chosen_days,
    note_filter,
    pseudonym_of,
)
from healthingest_service.studies.model import StudySlug
from healthingest_service.uploads.coverage_gaps import Gap, GapKey, GapPage, GapSelection

_COLUMNS: Final = ("subject", "record_type", "first_day", "last_day", "days")


class GapsQuery(UploadsFilter):
    """Filters and paging of the gaps: days in UTC, both included, at most 366."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    after_subject: SubjectFilter = None
    after_type: TypeFilter = None
    after_day: Day = None
    first_day: Day = None
    last_day: Day = None
    format: Literal["json", "csv"] = "json"


class GapView(BaseModel):
    """
    Days without a stored upload of a record type about a subject, both included.

    `record_type` is null if nothing came about the subject at all.
    """

    subject: str
    record_type: str | None
    first_day: date
    last_day: date
    days: int


class GapKeyView(BaseModel):
    """Where the next page begins: `after_subject`, `after_type` and `after_day` of its request."""

    subject: str
    record_type: str | None
    day: date


class GapsView(BaseModel):
    """Gaps by subject, record type and day; `next_after` is null on the last page."""

    first_day: date
    last_day: date
    gaps: list[GapView]
    next_after: GapKeyView | None


def routes() -> APIRouter:
    """Return the router of this route."""
    router = APIRouter(tags=["studies"])
    router.add_api_route(
        "/v1/studies/{study}/gaps",
        list_gaps,
        methods=["GET"],
        operation_id="listGaps",
        response_model=GapsView,
        responses=problem_answers(400, 401, 403, 404, 422, 429, 503)
        | {200: {"content": {CSV_TYPE: {"schema": {"type": "string"}}}}},
    )
    return router


async def list_gaps(
    request: Request, deps: ApiDeps, access: InStudy, query: Annotated[GapsQuery, Query()]
) -> Response:
    """
    List the days without a stored upload, by subject and record type.

    Without days it looks at the last 30 that are over. CSV has all rows, JSON one page.
    """
    await note_filter(request, deps, access, query)
    selection = _selection(access.study.slug, query, deps.clock().astimezone(UTC))
    after = _after(query)
    if query.format == "csv":
        name = f'attachment; filename="{access.study.slug}-gaps.csv"'
        first = await deps.study_uploads.gaps(selection, limit=CSV_ROWS, after=after)
        return StreamingResponse(
            _csv(deps, selection, first), headers={"Content-Disposition": name}, media_type=CSV_TYPE
        )
    page = await deps.study_uploads.gaps(selection, limit=query.limit, after=after)
    view = GapsView(
        first_day=selection.first_day,
        last_day=selection.last_day,
        gaps=[GapView.model_validate(_values(gap)) for gap in page.gaps],
        next_after=None if page.next_after is None else _key_view(page.next_after),
    )
    return Response(view.model_dump_json(), media_type="application/json")


def _selection(study: StudySlug, query: GapsQuery, now: datetime) -> GapSelection:
    """
    Return the selection; by default until yesterday, because today more may come.

    Raises:
        RequestValidationError: the days are out of range.
    """
    yesterday = now.date() - timedelta(days=1)
    first_day, last_day = chosen_days(query.first_day, query.last_day, default=yesterday)
    return GapSelection(
        study=study,
        first_day=first_day,
        last_day=last_day,
        subject=pseudonym_of(query.subject),
        record_type=query.record_type,
    )


def _after(query: GapsQuery) -> GapKey | None:
    """
    Return the gap after which the page begins.

    Raises:
        RequestValidationError: only some of the values are given; a type may be missing.
    """
    subject = query.after_subject
    day = query.after_day
    if subject is None and day is None and query.after_type is None:
        return None
    if subject is None or day is None:
        raise RequestValidationError([{"loc": ("query", "after_subject"), "type": "missing"}])
    return GapKey(subject, query.after_type or "", day)


async def _csv(deps: ApiDependencies, selection: GapSelection, page: GapPage) -> AsyncIterator[str]:
    yield ",".join(_COLUMNS) + "\r\n"
    while True:
        lines = io.StringIO()
        csv.DictWriter(lines, _COLUMNS).writerows(_values(gap) for gap in page.gaps)
        yield lines.getvalue()
        if page.next_after is None:
            return
        page = await deps.study_uploads.gaps(selection, limit=CSV_ROWS, after=page.next_after)


def _values(gap: Gap) -> dict[str, object]:
    key = gap.key
    values = (key.subject, key.record_type or None, key.first_day, gap.last_day, gap.days)
    return dict(zip(_COLUMNS, values, strict=True))


def _key_view(key: GapKey) -> GapKeyView:
    return GapKeyView(subject=key.subject, record_type=key.record_type or None, day=key.first_day)
