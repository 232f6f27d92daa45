"""The routes of accounts: register, log in, refresh tokens, log out."""

from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse

from healthingest_service.api.account_fields import (
    AccountView,
    Email,
    Name,
    NewPasswordText,
    account_answer,
)
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of
from healthingest_service.api.dependencies import (
    ApiDeps,
    address_of,
    bearer_token,
    count,
    count_address,
)
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import (
    FORM_TYPE,
    JSON_TYPE,
    ClosedModel,
    described_body,
    form_body,
    json_body,
)
from healthingest_service.identity.email_address import (
    EMAIL_MAX_CHARACTERS,
    InvalidEmailError,
    normal_email,
)
from healthingest_service.identity.errors import InvalidCredentialsError
from healthingest_service.identity.model import NewAccount, TokenPair
from healthingest_service.identity.throttling import Charge


class Registering(ClosedModel):
    """The request to register an account."""

    email: Email
    password: NewPasswordText
    first_name: Name = None
    last_name: Name = None


class LoggingIn(BaseModel):
    """The form of an OAuth 2.0 password grant (RFC 6749, 4.3.2); `username` is the e-mail."""

    model_config = ConfigDict(extra="ignore", hide_input_in_errors=True)

    username: Annotated[str, Field(max_length=EMAIL_MAX_CHARACTERS)]
    password: str = Field(repr=False)


class Refreshing(ClosedModel):
    """A refresh token."""

    refresh_token: str = Field(repr=False)


class TokensView(BaseModel):
    """
    An access token and a refresh token (RFC 6749, 5.1).

    A refresh token can be exchanged once, for a new pair.
    """

    access_token: str
    refresh_token: str
    token_type: str = "bearer"  # noqa: S105 - the type's name
    expires_in: int


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
        openapi_extra=described_body(Registering, JSON_TYPE),
    )
    for path, handler, operation_id, request_body in (
        ("/jwt/login", log_in, "logIn", described_body(LoggingIn, FORM_TYPE)),
        ("/jwt/refresh", refresh_tokens, "refreshTokens", described_body(Refreshing, JSON_TYPE)),
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
    given = await json_body(Registering, request, deps)
    account = await deps.auth.register(
        NewAccount(
            email=given.email,
            password=given.password,
            first_name=given.first_name,
            last_name=given.last_name,
        )
    )
    await deps.mails.welcome(account)
    details_of(request).account_id = account.id
    return account_answer(account, 201)


async def log_in(request: Request, deps: ApiDeps) -> Response:
    """Exchange a password for tokens."""
    given = await form_body(LoggingIn, request, deps)
    return tokens_answer(await password_login(request, deps, given.username, given.password))


async def password_login(
    request: Request,
    deps: ApiDependencies,
    username: str,
    password: str,
    *,
    longest: timedelta | None = None,
) -> TokenPair:
    """
    Exchange a password for tokens of a session, which ends after *longest*; counted and recorded.

    Raises:
        InvalidCredentialsError: e-mail or password is wrong, or the account may not log in.
        RateLimitedError: too many logins or failures.
        IdentityUnavailableError: the accounts cannot be read.
    """
    address = address_of(request, deps)
    try:
        email = normal_email(username)
    except InvalidEmailError:
        email = None  # the same answer as for an unknown account
    details_of(request).email = email
    await count(request, deps, Charge(deps.rules.logins, f"login:{email}|{address}"))
    try:
        pair = await deps.auth.log_in(email, password, address=address, longest=longest)
    except InvalidCredentialsError:
        deps.metrics.logins.labels("refused").inc()
        raise
    deps.metrics.logins.labels("accepted").inc()
    note_login(request, pair)
    details_of(request).email = None
    return pair


def note_login(request: Request, pair: TokenPair) -> None:
    """Note the account and the new session for the audit log."""
    details = details_of(request)
    details.account_id = pair.account_id
    details.object_id = str(pair.session_id)


async def refresh_tokens(request: Request, deps: ApiDeps) -> Response:
    """Exchange a refresh token for new tokens. The old one cannot be used again."""
    given = await json_body(Refreshing, request, deps)
    session = await deps.auth.session_of(given.refresh_token)
    await count(request, deps, Charge(deps.rules.refreshes, f"session:{session}"))
    return tokens_answer(
        await deps.auth.refresh(given.refresh_token, address=address_of(request, deps))
    )


async def log_out(request: Request, deps: ApiDeps) -> Response:
    """
    End the session of this access token.

    Its refresh tokens and all its access tokens are revoked.
    """
    principal = await deps.auth.log_out(bearer_token(request))
    request.state.principal = principal
    details_of(request).object_id = str(principal.session_id)
    return Response(status_code=204)


def tokens_answer(pair: TokenPair) -> Response:
    """Return the answer with the tokens of a login, which no cache may keep."""
    view = TokensView(
        access_token=pair.access_token,
        refresh_token=pair.refresh_token,
        expires_in=pair.expires_in_seconds,
    )
    return JSONResponse(view.model_dump())
