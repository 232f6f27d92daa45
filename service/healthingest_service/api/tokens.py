"""The routes of device tokens: create, list, revoke."""

from datetime import datetime, timedelta
from typing import Annotated, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Request, Response
from pydantic import AfterValidator, BaseModel, Field
from starlette.responses import JSONResponse

from healthingest_service.api.account_fields import NO_STORE, printable
from healthingest_service.api.dependencies import ApiDeps, Caller
from healthingest_service.api.openapi import TOKENS_ROUTE, problem_answers
from healthingest_service.api.parsed_body import (
    JSON_TYPE,
    ClosedModel,
    described_body,
    json_body,
)
from healthingest_service.identity.device_access import NewDeviceToken
from healthingest_service.identity.device_tokens import DeviceToken, DeviceTokenId
from healthingest_service.identity.errors import DeviceTokenNotFoundError
from healthingest_service.identity.model import Scope

_MAX_DAYS: Final = 3650
Grantable = Literal["upload:write", "upload:read"]


class CreatingToken(ClosedModel):
    """The request to create a device token; without `expires_in_days` it never expires."""

    name: Annotated[str, Field(min_length=1, max_length=100), AfterValidator(printable)]
    scopes: Annotated[frozenset[Grantable], Field(min_length=1)] = frozenset({"upload:write"})
    expires_in_days: Annotated[int, Field(ge=1, le=_MAX_DAYS)] | None = 365


class TokenView(BaseModel):
    """A device token without its text; `last_used_at` is rounded down to the hour."""

    id: UUID
    name: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


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
        responses=problem_answers(400, 401, 403, 408, 409, 413, 415, 422, 429, 503),
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
    days = given.expires_in_days
    token, text = await deps.devices.create(
        principal.account_id,
        NewDeviceToken(
            name=given.name,
            scopes=frozenset(map(Scope, given.scopes)),
            lifetime=None if days is None else timedelta(days=days),
        ),
    )
    view = CreatedTokenView(**_view(token).model_dump(), token=text)
    headers = {"Location": f"{TOKENS_ROUTE}/{token.id}"} | NO_STORE
    return JSONResponse(view.model_dump(mode="json"), 201, headers)


async def list_tokens(deps: ApiDeps, principal: Caller) -> TokenListView:
    """List your device tokens that are neither revoked nor expired."""
    found = await deps.devices.list_of(principal.account_id)
    return TokenListView(tokens=[_view(token) for token in found])


async def revoke_token(deps: ApiDeps, principal: Caller, token_id: str) -> Response:
    """Revoke a device token. All processes refuse it within seconds."""
    try:
        wanted = DeviceTokenId(UUID(token_id))
    except ValueError:
        raise DeviceTokenNotFoundError from None
    await deps.devices.revoke(principal.account_id, wanted)
    return Response(status_code=204, headers=NO_STORE)


def _view(token: DeviceToken) -> TokenView:
    return TokenView(
        id=token.id,
        name=token.name,
        scopes=sorted(token.scopes),
        created_at=token.created_at,
        expires_at=token.expires_at,
        last_used_at=token.last_used_at,
    )
