"""The routes of device tokens: create, list, revoke."""

from datetime import datetime, timedelta
from functools import partial
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.responses import JSONResponse

from healthingest_service.api.account_fields import printable
from healthingest_service.api.audit_details import success_of
from healthingest_service.api.dependencies import ApiDeps, Caller
from healthingest_service.api.openapi import TOKENS_ROUTE, problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.api.study_views import REPEATABLE, PseudonymText, Slug
from healthingest_service.audit.model import Action
from healthingest_service.identity.device_access import NewDeviceToken
from healthingest_service.identity.device_tokens import DeviceToken, DeviceTokenId
from healthingest_service.identity.errors import DeviceTokenNotFoundError
from healthingest_service.identity.model import Binding, Scope
from healthingest_service.studies.decisions import require_no_default, require_role
from healthingest_service.studies.model import Role, StudySlug

_MAX_DAYS: Final = 3650
Grantable = Literal["upload:write", "upload:read"]
"""The scopes of a device."""
Reportable = Literal["upload:write", "upload:read", "outcome:write"]
"""Also those of a consumer."""


TokenName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(printable)]
Scopes = Annotated[frozenset[Grantable], Field(min_length=1, json_schema_extra=REPEATABLE)]
TokenScopes = Annotated[frozenset[Reportable], Field(min_length=1, json_schema_extra=REPEATABLE)]
LifetimeDays = Annotated[int, Field(ge=1, le=_MAX_DAYS)] | None
"""Days until a token expires; None: it never does."""


class CreatingToken(ClosedModel):
    """
    The request to create a device token; with `expires_in_days` null it never expires.

    With `study`, and `subject`, it may upload for them only.
    """

    name: TokenName
    scopes: TokenScopes = frozenset({"upload:write"})
    expires_in_days: LifetimeDays = 365
    study: Slug | None = None
    subject: PseudonymText | None = None

    @model_validator(mode="after")
    def _check_binding(self) -> Self:
        if self.subject is not None and self.study is None:
            code = "study_missing"
            raise PydanticCustomError(code, "a token for a subject names its study")
        if self.study is not None and self.scopes != {"upload:write"}:
            code = "not_for_reading"
            raise PydanticCustomError(
                code, "a token for a study has the scope upload:write, and no other"
            )
        return self


class TokenView(BaseModel):
    """A device token without its text; `last_used_at` is rounded down to the hour."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    study: str | None
    subject: str | None


class CreatedTokenView(TokenView):
    """A new device token with its text, which is shown only here."""

    token: str


class TokenListView(BaseModel):
    """Valid device tokens, newest first."""

    tokens: list[TokenView]


def routes() -> APIRouter:
    """Return the router of the token routes."""
    router = APIRouter(tags=["device tokens"])
    router.add_api_route(
        TOKENS_ROUTE,
        create_token,
        methods=["POST"],
        operation_id="createToken",
        status_code=201,
        response_model=CreatedTokenView,
        responses=problem_answers(400, 401, 403, 404, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=described_body(CreatingToken, JSON_TYPE),
    )
    router.add_api_route(
        TOKENS_ROUTE,
        list_tokens,
        methods=["GET"],
        operation_id="listTokens",
        responses=problem_answers(401, 403, 429, 503),
    )
    router.add_api_route(
        f"{TOKENS_ROUTE}/{{token_id}}",
        revoke_token,
        methods=["DELETE"],
        operation_id="revokeToken",
        status_code=204,
        responses=problem_answers(401, 403, 404, 429, 503),
    )
    return router


async def create_token(request: Request, deps: ApiDeps, principal: Caller) -> Response:
    """Create a device token. Its text is in this answer only."""
    given = await json_body(CreatingToken, request, deps)
    binding = None
    if given.study is not None:
        study = StudySlug(given.study)
        require_no_default(study)
        require_role(await deps.studies.access(principal.account_id, study), {Role.UPLOADER})
        binding = Binding(study, given.subject)
    token, text = await deps.devices.create(
        principal.account_id,
        NewDeviceToken(
            name=given.name,
            scopes=frozenset(map(Scope, given.scopes)),
            lifetime=days_of(given.expires_in_days),
            binding=binding,
        ),
        event=partial(success_of, request, deps, principal, Action.DEVICE_TOKEN_CREATE),
    )
    return created_token(token, text)


def created_token(token: DeviceToken, text: str) -> Response:
    """Return the answer with a new token, which no cache may keep."""
    view = CreatedTokenView(**token_view(token).model_dump(), token=text)
    headers = {"Location": f"{TOKENS_ROUTE}/{token.id}"}
    return JSONResponse(view.model_dump(mode="json"), 201, headers)


def days_of(days: int | None) -> timedelta | None:
    """Return a lifetime in days."""
    return None if days is None else timedelta(days=days)


async def list_tokens(deps: ApiDeps, principal: Caller) -> TokenListView:
    """List your device tokens that are neither revoked nor expired."""
    found = await deps.devices.list_of(principal.account_id)
    return TokenListView(tokens=[token_view(token) for token in found])


async def revoke_token(deps: ApiDeps, principal: Caller, token_id: str) -> Response:
    """Revoke a device token. All processes refuse it within seconds."""
    await deps.devices.revoke(principal.account_id, device_token_id(token_id))
    return Response(status_code=204)


def device_token_id(text: str) -> DeviceTokenId:
    """
    Return the id of a path.

    Raises:
        DeviceTokenNotFoundError: it is no UUID, so no token has it.
    """
    try:
        return DeviceTokenId(UUID(text))
    except ValueError:
        raise DeviceTokenNotFoundError from None


def token_view(token: DeviceToken) -> TokenView:
    """Return the view of a token, without its text."""
    binding = token.binding
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
        study=None if binding is None else binding.study,
        subject=None if binding is None else binding.subject,
    )
