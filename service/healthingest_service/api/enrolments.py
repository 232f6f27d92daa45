"""The routes of enrolment codes, and of the device tokens of a study."""

from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from healthingest_service.api.audit_details import details_of, note_subject, success_of
from healthingest_service.api.dependencies import ApiDeps, InStudy, count_address
from healthingest_service.api.openapi import REDEEM_ROUTE, problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.api.study_views import PseudonymText, StudyTokensQuery
from healthingest_service.api.tokens import (
    CreatedTokenView,
    LifetimeDays,
    Scopes,
    TokenName,
    TokenView,
    created_token,
    days_of,
    device_token_id,
    token_view,
)
from healthingest_service.api.uploads import idempotency_key
from healthingest_service.audit.model import Action
from healthingest_service.identity.device_enrolment import NewEnrolment
from healthingest_service.identity.device_tokens import DeviceTokenId
from healthingest_service.identity.enrolment_codes import EnrolmentCodeId, qr_payload
from healthingest_service.identity.model import Binding, Scope
from healthingest_service.studies.decisions import admit_enrolment
from healthingest_service.studies.model import Pseudonym, StudySlug

ENROLMENTS_ROUTE: Final = "/v1/studies/{study}/enrolments"
_TOKENS: Final = "/v1/studies/{study}/tokens"
_MAX_MINUTES: Final = 30 * 24 * 60
_READING: Final = (401, 403, 404, 422, 429, 503)
_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "A random text of the device; a repeated request gets the same token.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
}


class CreatingEnrolment(ClosedModel):
    """The request to create an enrolment code, and what its token will be."""

    subject: PseudonymText | None = None
    scopes: Scopes = frozenset({"upload:write"})
    valid_minutes: Annotated[int, Field(ge=1, le=_MAX_MINUTES)] = 24 * 60
    token_expires_in_days: LifetimeDays = 365


class EnrolmentView(BaseModel):
    """A new enrolment code. `code` and `qr` are shown only here; `qr` is the text of a QR code."""

    id: UUID
    code: str
    qr: str
    study: str
    subject: str | None
    expires_at: datetime


class Redemption(ClosedModel):
    """The request of a device: the code, and a name by which people recognise the device."""

    code: Annotated[str, Field(min_length=1, max_length=64)]
    name: TokenName = "device"


class StudyTokensView(BaseModel):
    """Valid device tokens of a study by id; `next_cursor` is null on the last page."""

    tokens: list[TokenView]
    next_cursor: UUID | None


def routes() -> APIRouter:
    """Return the router of enrolment and of the tokens of studies."""
    router = APIRouter(tags=["device tokens"])
    router.add_api_route(
        ENROLMENTS_ROUTE,
        create_enrolment,
        methods=["POST"],
        operation_id="createEnrolment",
        status_code=201,
        response_model=EnrolmentView,
        responses=problem_answers(400, 401, 403, 404, 408, 409, 410, 413, 415, 422, 429, 503),
        openapi_extra=described_body(CreatingEnrolment, JSON_TYPE),
    )
    router.add_api_route(
        f"{ENROLMENTS_ROUTE}/{{enrolment}}",
        cancel_enrolment,
        methods=["DELETE"],
        operation_id="cancelEnrolment",
        status_code=204,
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    router.add_api_route(
        REDEEM_ROUTE,
        redeem_enrolment,
        methods=["POST"],
        operation_id="redeemEnrolment",
        status_code=201,
        response_model=CreatedTokenView,
        responses=problem_answers(400, 408, 413, 415, 422, 429, 503),
        openapi_extra=described_body(Redemption, JSON_TYPE) | {"parameters": [_KEY]},
    )
    router.add_api_route(
        _TOKENS,
        list_study_tokens,
        methods=["GET"],
        operation_id="listStudyTokens",
        responses=problem_answers(*_READING),
    )
    router.add_api_route(
        f"{_TOKENS}/{{token_id}}",
        revoke_study_token,
        methods=["DELETE"],
        operation_id="revokeStudyToken",
        status_code=204,
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    return router


async def create_enrolment(request: Request, deps: ApiDeps, access: InStudy) -> Response:
    """Create a code that a device exchanges once for a token of its own."""
    given = await json_body(CreatingEnrolment, request, deps)
    study = access.study.slug
    pseudonym = None if given.subject is None else Pseudonym(given.subject)
    subject = None if pseudonym is None else await deps.studies.subject(study, pseudonym)
    admit_enrolment(access.study, subject, pseudonym)
    await note_subject(request, deps, subject)
    code, text = await deps.enrolment.create(
        NewEnrolment(
            binding=Binding(study, pseudonym),
            scopes=frozenset(map(Scope, given.scopes)),
            lifetime=timedelta(minutes=given.valid_minutes),
            token_lifetime=days_of(given.token_expires_in_days),
        ),
        event=partial(success_of, request, deps, request.state.principal, Action.ENROLMENT_CREATE),
    )
    view = EnrolmentView(
        id=code.id,
        code=text,
        qr=qr_payload(text, deps.public_url),
        study=study,
        subject=pseudonym,
        expires_at=code.expires_at,
    )
    return JSONResponse(view.model_dump(mode="json"), 201)


async def cancel_enrolment(deps: ApiDeps, access: InStudy, enrolment: str) -> Response:
    """Cancel an enrolment code; a token that it was exchanged for stays valid."""
    with suppress(ValueError):  # no code has an id that is no UUID
        await deps.enrolment.cancel(access.study.slug, EnrolmentCodeId(UUID(enrolment)))
    return Response(status_code=204)


async def redeem_enrolment(request: Request, deps: ApiDeps) -> Response:
    """Exchange an enrolment code for a device token. Its text is in this answer only."""
    await count_address(request, deps, deps.rules.redemptions)
    given = await json_body(Redemption, request, deps)
    token, text = await deps.enrolment.redeem(
        given.code, name=given.name, repetition_key=idempotency_key(request)
    )
    details = details_of(request)
    details.account_id = token.account_id
    details.object_id = str(token.id)
    binding = token.binding
    if binding is not None:
        details.study = binding.study
        if binding.subject is not None:
            found = await deps.studies.subject(StudySlug(binding.study), Pseudonym(binding.subject))
            await note_subject(request, deps, found)
    return created_token(token, text)


async def list_study_tokens(
    deps: ApiDeps, access: InStudy, query: Annotated[StudyTokensQuery, Query()]
) -> StudyTokensView:
    """List the device tokens of the study that are neither revoked nor expired."""
    page = await deps.devices.list_in_study(
        access.study.slug,
        query.subject,
        limit=query.limit,
        cursor=None if query.cursor is None else DeviceTokenId(query.cursor),
    )
    return StudyTokensView(
        tokens=[token_view(token) for token in page.tokens], next_cursor=page.next_cursor
    )


async def revoke_study_token(deps: ApiDeps, access: InStudy, token_id: str) -> Response:
    """Revoke a device token of the study. All processes refuse it within seconds."""
    await deps.devices.revoke_in_study(access.study.slug, device_token_id(token_id))
    return Response(status_code=204)
