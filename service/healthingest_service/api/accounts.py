"""The routes of accounts: register, log in, refresh tokens, log out."""

from datetime import datetime
from typing import Annotated, Final, TypeVar
from urllib.parse import parse_qs
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.responses import JSONResponse

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.body import media_type, small_body
from healthingest_service.api.dependencies import (
    ApiDeps,
    address_of,
    bearer_token,
    count,
    count_address,
)
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.identity.email_address import (
    EMAIL_MAX_CHARACTERS,
    InvalidEmailError,
    normal_email,
)
from healthingest_service.identity.errors import InvalidCredentialsError
from healthingest_service.identity.model import NewAccount, TokenPair
from healthingest_service.identity.registration import (
    PASSWORD_MAX_CHARACTERS,
    PASSWORD_MIN_CHARACTERS,
    is_printable,
)

JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
_NO_STORE: Final = {"Cache-Control": "no-store"}
_MAX_FORM_FIELDS: Final = 10


def _printable(name: str) -> str:
    if not is_printable(name):
        code = "unprintable_characters"
        raise PydanticCustomError(
            code, "must not contain control characters or text direction characters"
        )
    return name


def _email(text: str) -> str:
    try:
        return normal_email(text)
    except InvalidEmailError:
        code = "invalid_email"
        raise PydanticCustomError(code, "must be an e-mail address") from None


Email = Annotated[
    str,
    Field(max_length=EMAIL_MAX_CHARACTERS, json_schema_extra={"format": "email"}),
    AfterValidator(_email),
]
Name = Annotated[str, Field(max_length=100), AfterValidator(_printable)] | None
Body = TypeVar("Body", bound=BaseModel)


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class Registering(_Closed):
    """The request to register an account."""

    email: Email
    password: str = Field(
        repr=False,
        json_schema_extra={
            "minLength": PASSWORD_MIN_CHARACTERS,
            "maxLength": PASSWORD_MAX_CHARACTERS,
        },
    )
    first_name: Name = None
    last_name: Name = None


class LoggingIn(BaseModel):
    """The form of an OAuth 2.0 password grant (RFC 6749, 4.3.2); `username` is the e-mail."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    username: Annotated[str, Field(max_length=EMAIL_MAX_CHARACTERS)]
    password: str = Field(repr=False)


class Refreshing(_Closed):
    """A refresh token."""

    refresh_token: str = Field(repr=False)


class AccountView(BaseModel):
    """An account."""

    id: UUID
    email: str
    first_name: str | None
    last_name: str | None
    is_active: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime


class TokensView(BaseModel):
    """
    An access token and a refresh token (RFC 6749, 5.1).

    A refresh token can be exchanged once, for a new pair.
    """

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105 - the type's name
    expires_in: int


def _request_body(model: type[BaseModel], content_type: str) -> dict[str, object]:
    return {
        "requestBody": {
            "required": True,
            "content": {content_type: {"schema": model.model_json_schema()}},
        }
    }


def routes() -> APIRouter:
    """Return the router of the account routes."""
    router = APIRouter(prefix="/auth", tags=["accounts"])
    router.add_api_route(
        "/register",
        register_account,
        methods=["POST"],
        operation_id="registerAccount",
        status_code=201,
        response_model=AccountView,
        responses=problem_answers(400, 403, 408, 409, 413, 415, 422, 429, 503),
        openapi_extra=_request_body(Registering, JSON_TYPE),
    )
    for path, handler, operation_id, request_body in (
        ("/jwt/login", log_in, "logIn", _request_body(LoggingIn, FORM_TYPE)),
        ("/jwt/refresh", refresh_tokens, "refreshTokens", _request_body(Refreshing, JSON_TYPE)),
    ):
        router.add_api_route(
            path,
            handler,
            methods=["POST"],
            operation_id=operation_id,
            response_model=TokensView,
            responses=problem_answers(400, 401, 408, 413, 415, 422, 429, 503),
            openapi_extra=request_body,
        )
    router.add_api_route(
        "/jwt/logout",
        log_out,
        methods=["POST"],
        operation_id="logOut",
        status_code=204,
        responses=problem_answers(401, 503),
    )
    return router


async def register_account(request: Request, deps: ApiDeps) -> Response:
    """Create an account."""
    await count_address(request, deps, deps.rules.registrations)
    given = _parsed(Registering, await _json(request, deps))
    account = await deps.auth.register(
        NewAccount(
            email=given.email,
            password=given.password,
            first_name=given.first_name,
            last_name=given.last_name,
        )
    )
    view = AccountView.model_validate(account, from_attributes=True)
    return JSONResponse(view.model_dump(mode="json"), 201, _NO_STORE)


async def log_in(request: Request, deps: ApiDeps) -> Response:
    """Exchange a password for tokens."""
    given = _parsed(LoggingIn, await _form(request, deps))
    address = address_of(request, deps)
    try:
        email = normal_email(given.username)
    except InvalidEmailError:
        email = None  # the same answer as for an unknown account
    await count(request, deps, deps.rules.logins, f"login:{email}|{address}")
    try:
        pair = await deps.auth.log_in(email, given.password, address=address)
    except InvalidCredentialsError:
        deps.metrics.logins.labels("refused").inc()
        raise
    deps.metrics.logins.labels("accepted").inc()
    return _tokens(pair)


async def refresh_tokens(request: Request, deps: ApiDeps) -> Response:
    """Exchange a refresh token for new tokens. The old one cannot be used again."""
    given = _parsed(Refreshing, await _json(request, deps))
    session = await deps.auth.session_of(given.refresh_token)
    await count(request, deps, deps.rules.refreshes, f"session:{session}")
    return _tokens(await deps.auth.refresh(given.refresh_token, address=address_of(request, deps)))


async def log_out(request: Request, deps: ApiDeps) -> Response:
    """
    End the session of this access token.

    Its refresh tokens and all its access tokens are revoked.
    """
    await deps.auth.log_out(bearer_token(request))
    return Response(status_code=204, headers=_NO_STORE)


def _tokens(pair: TokenPair) -> Response:
    view = TokensView(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in_seconds,
    )
    return JSONResponse(view.model_dump(), headers=_NO_STORE)


async def _json(request: Request, deps: ApiDependencies) -> bytes:
    if media_type(request) != JSON_TYPE:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    return await small_body(request, deps.body)


async def _form(request: Request, deps: ApiDependencies) -> dict[str, str]:
    if media_type(request) != FORM_TYPE:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    try:
        text = (await small_body(request, deps.body)).decode()
        fields = parse_qs(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS
        )
    except ValueError:
        code = "bad-request"
        raise RequestRefusedError(code) from None
    return {name: values[0] for name, values in fields.items() if len(values) == 1}


def _parsed(model: type[Body], given: bytes | dict[str, str]) -> Body:
    try:
        return (
            model.model_validate_json(given)
            if isinstance(given, bytes)
            else model.model_validate(given)
        )
    except ValidationError as error:
        # Input and context are left out: both may contain the password.
        raise RequestValidationError(
            error.errors(include_input=False, include_context=False)
        ) from None
