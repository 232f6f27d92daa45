"""The routes that show managers the audit log of their study, and the disclosures of a subject."""

import base64
import binascii
import re
from datetime import UTC, datetime
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from healthingest_service.api.audit_details import note_subject
from healthingest_service.api.dependencies import ApiDeps, InStudy
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.studies import SubjectPath
from healthingest_service.audit.model import Action, ActorKind, Outcome, StoredEvent
from healthingest_service.audit.ports import EventSelection
from healthingest_service.studies.errors import SubjectErasedError, SubjectNotFoundError
from healthingest_service.studies.model import PSEUDONYM_PATTERN, Pseudonym, SubjectState
from healthingest_service.uploads.disclosures import Disclosure, DisclosureKey, DisclosureKind
from healthingest_service.uploads.errors import InvalidCursorError

_PSEUDONYM: Final = re.compile(PSEUDONYM_PATTERN)
_MAX_NUMBER: Final = 2**128 - 1
_MAX_EVENT_NUMBER: Final = 2**63 - 1


class _Page(BaseModel):
    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Annotated[str | None, Field(max_length=256)] = None


class AuditQuery(_Page):
    """Filter and paging of events; `subject_hash` comes with the disclosures of a subject."""

    subject_hash: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None


class DisclosuresQuery(_Page):
    """Paging of disclosures."""


class AuditEventView(BaseModel):
    """An event of the audit log; `reason` is the problem code of a refusal."""

    number: int
    occurred_at: datetime
    actor: ActorKind
    action: Action
    outcome: Outcome
    reason: str | None
    account_id: UUID | None
    token_id: str | None
    object_id: str | None
    subject_hash: str | None
    correlation_id: str | None


class AuditEventsView(BaseModel):
    """Events, newest first; `next_cursor` is null on the last page."""

    events: list[AuditEventView]
    next_cursor: str | None


class DisclosureView(BaseModel):
    """
    A download by an account, or an announcement to the consumers of a record type.

    An announced upload may have been fetched by each consumer of its queue.
    """

    kind: DisclosureKind
    disclosed_at: datetime
    upload_id: UUID | None
    record_type: str | None
    account_id: UUID | None
    token_id: str | None
    correlation_id: str | None


class DisclosuresView(BaseModel):
    """
    Disclosures of the data of a subject, newest first; `next_cursor` is null on the last page.

    `subject_hash` is how the audit log names the subject.
    """

    subject_hash: str
    disclosures: list[DisclosureView]
    next_cursor: str | None


def routes() -> APIRouter:
    """Return the router of these routes."""
    router = APIRouter(tags=["studies"])
    router.add_api_route(
        "/v1/studies/{study}/audit",
        list_audit_events,
        methods=["GET"],
        operation_id="listAuditEvents",
        responses=problem_answers(400, 401, 403, 404, 422, 429, 503),
    )
    router.add_api_route(
        "/v1/studies/{study}/subjects/{subject}/disclosures",
        list_disclosures,
        methods=["GET"],
        operation_id="listDisclosures",
        responses=problem_answers(400, 401, 403, 404, 410, 422, 429, 503),
    )
    return router


async def list_audit_events(
    deps: ApiDeps, access: InStudy, query: Annotated[AuditQuery, Query()]
) -> AuditEventsView:
    """List who did, read, or was refused what in the study, newest first."""
    selection = EventSelection(study=access.study.slug, subject_hash=query.subject_hash)
    before = None if query.cursor is None else _event_position(query.cursor)
    found = await deps.audit_reader.newest(selection, limit=query.limit + 1, before=before)
    page = found[: query.limit]
    more = len(found) > query.limit
    return AuditEventsView(
        events=[_event_view(one) for one in page],
        next_cursor=_cursor(page[-1].event.occurred_at, "", page[-1].number) if more else None,
    )


async def list_disclosures(
    request: Request,
    deps: ApiDeps,
    access: InStudy,
    subject: SubjectPath,
    query: Annotated[DisclosuresQuery, Query()],
) -> DisclosuresView:
    """List who received the data of a subject, newest first."""
    found = None
    if _PSEUDONYM.fullmatch(subject) is not None:
        found = await deps.studies.subject(access.study.slug, Pseudonym(subject))
    if found is None:
        raise SubjectNotFoundError
    if found.state is SubjectState.ERASED:
        raise SubjectErasedError
    await note_subject(request, deps, found)
    subject_hash = await deps.subject_hashes.of(found.id, found.pseudonym)
    before = None if query.cursor is None else _disclosure_key(query.cursor)
    page = await deps.disclosures(found, subject_hash, limit=query.limit, before=before)
    following = page.next_before
    return DisclosuresView(
        subject_hash=subject_hash,
        disclosures=[_disclosure_view(one) for one in page.disclosures],
        next_cursor=None
        if following is None
        else _cursor(following.at, following.kind.value, following.number),
    )


def _event_view(stored: StoredEvent) -> AuditEventView:
    event = stored.event
    named = {name: getattr(event, name) for name in AuditEventView.model_fields if name != "number"}
    return AuditEventView(number=stored.number, **named)


def _disclosure_view(one: Disclosure) -> DisclosureView:
    return DisclosureView(
        kind=one.key.kind,
        disclosed_at=one.key.at,
        upload_id=None if one.upload_id is None else UUID(one.upload_id),
        record_type=one.record_type,
        account_id=one.account_id,
        token_id=one.token_id,
        correlation_id=one.correlation_id,
    )


def _cursor(at: datetime, kind: str, number: int) -> str:
    text = f"{at.astimezone(UTC).isoformat()}|{kind}|{number}"
    return base64.urlsafe_b64encode(text.encode()).decode()


def _event_position(cursor: str) -> tuple[datetime, int]:
    at, _, number = _read(cursor)
    if number > _MAX_EVENT_NUMBER:
        raise InvalidCursorError
    return at, number


def _disclosure_key(cursor: str) -> DisclosureKey:
    at, kind, number = _read(cursor)
    try:
        key = DisclosureKey(at, DisclosureKind(kind), number)
    except ValueError:
        raise InvalidCursorError from None
    if key.kind is DisclosureKind.DOWNLOAD and number > _MAX_EVENT_NUMBER:
        raise InvalidCursorError
    return key


def _read(cursor: str) -> tuple[datetime, str, int]:
    """
    Return time, kind and number of a cursor.

    Raises:
        InvalidCursorError: *cursor* was not returned by `_cursor`.
    """
    try:
        text = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        at, kind, number = text.decode("ascii").split("|")
        when = datetime.fromisoformat(at)
        if when.tzinfo is None or not 0 <= int(number) <= _MAX_NUMBER:
            raise InvalidCursorError
        return when.astimezone(UTC), kind, int(number)
    except (ValueError, OverflowError, binascii.Error, UnicodeError):
        raise InvalidCursorError from None
