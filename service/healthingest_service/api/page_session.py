"""
The session of the page `/ui`.

Its refresh token is in a cookie that no script can read. The cookie is worth something on these
routes only: all others need an access token in `Authorization`, which the page keeps in memory.
"""

from typing import Annotated, Final

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from healthingest_service.api.accounts import password_login
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of
from healthingest_service.api.dependencies import ApiDeps, address_of, count
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import JSON_TYPE, ClosedModel, described_body, json_body
from healthingest_service.api.problems import RequestRefusedError
from healthingest_service.api.provider_login import SigningIn, code_login
from healthingest_service.identity.email_address import EMAIL_MAX_CHARACTERS
from healthingest_service.identity.errors import InvalidTokenError, UnauthenticatedError
from healthingest_service.identity.model import TokenPair
from healthingest_service.identity.throttling import Charge

COOKIE: Final = "__Host-healthingest"
"""
With this prefix a browser takes the cookie over TLS only, and from this host only: neither the
network nor a page on a neighbouring host can plant another one.
"""
PAGE_HEADER: Final = "Healthingest-Page"
_ATTRIBUTES: Final = "Path=/; Secure; HttpOnly; SameSite=Strict"
_SESSION: Final = "/ui/session"
_HEADER: Final[dict[str, object]] = {
    "name": PAGE_HEADER,
    "in": "header",
    "required": True,
    "description": "Always `1`. Another site cannot send it.",
    "schema": {"type": "string", "enum": ["1"]},
}
_SIGNING_IN: Final = (400, 401, 403, 408, 413, 415, 422, 429, 503)


class SigningInToPage(ClosedModel):
    """An e-mail address and a password."""

    email: Annotated[str, Field(max_length=EMAIL_MAX_CHARACTERS)]
    password: str = Field(repr=False)


class PageTokenView(BaseModel):
    """An access token, and how many seconds it is valid; the refresh token is in the cookie."""

    access_token: str
    token_type: str = "bearer"  # noqa: S105 - the type's name
    expires_in: int


async def require_page(request: Request) -> None:
    """
    Refuse a request that another site may have made the browser send.

    A custom header needs a preflight, which no answer of this service grants.

    Raises:
        RequestRefusedError: the header of the page is missing, or the browser names another site.
    """
    site = request.headers.get("sec-fetch-site", "same-origin")
    if request.headers.get(PAGE_HEADER) != "1" or site != "same-origin":
        code = "cross-site-request"
        raise RequestRefusedError(code)


def routes() -> APIRouter:
    """Return the router of the session of the page."""
    router = APIRouter(tags=["page"], dependencies=[Depends(require_page)])
    for path, handler, operation_id, model, statuses in (
        (_SESSION, sign_in, "signInToPage", SigningInToPage, _SIGNING_IN),
        (
            f"{_SESSION}/code",
            sign_in_with_code,
            "signInToPageWithCode",
            SigningIn,
            (*_SIGNING_IN, 404),
        ),
    ):
        described = described_body(model, JSON_TYPE)
        router.add_api_route(
            path,
            handler,
            methods=["POST"],
            operation_id=operation_id,
            response_model=PageTokenView,
            responses=problem_answers(*sorted(statuses)),
            openapi_extra=described | {"parameters": [_HEADER]},
        )
    router.add_api_route(
        f"{_SESSION}/refresh",
        continue_session,
        methods=["POST"],
        operation_id="continuePageSession",
        response_model=PageTokenView,
        responses=problem_answers(401, 403, 429, 503)
        | {204: {"description": "The browser has no session"}},
        openapi_extra={"parameters": [_HEADER]},
    )
    router.add_api_route(
        _SESSION,
        end_session,
        methods=["DELETE"],
        operation_id="endPageSession",
        status_code=204,
        responses=problem_answers(401, 403, 429, 503),
        openapi_extra={"parameters": [_HEADER]},
    )
    return router


async def sign_in(request: Request, deps: ApiDeps) -> Response:
    """Exchange a password for an access token; the session is in a cookie."""
    given = await json_body(SigningInToPage, request, deps)
    pair = await password_login(
        request, deps, given.email, given.password, longest=deps.page_session
    )
    return _answer(request, pair)


async def sign_in_with_code(request: Request, deps: ApiDeps) -> Response:
    """Exchange the code of an identity provider for an access token, as `logInWithCode` does."""
    return _answer(request, await code_login(request, deps))


async def continue_session(request: Request, deps: ApiDeps) -> Response:
    """Exchange the cookie for an access token and the next cookie; 204 if there is no cookie."""
    if COOKIE not in request.cookies:
        return Response(status_code=204)
    return _answer(request, await _refreshed(request, deps))


async def end_session(request: Request, deps: ApiDeps) -> Response:
    """End the session of the cookie. Its tokens are revoked, and the cookie is removed."""
    if COOKIE not in request.cookies:
        raise UnauthenticatedError
    pair = await _refreshed(request, deps)
    request.state.principal = await deps.auth.log_out(pair.access_token)
    details_of(request).object_id = str(pair.session_id)
    _remove_cookie(request)
    return Response(status_code=204)


async def _refreshed(request: Request, deps: ApiDependencies) -> TokenPair:
    """
    Return the next tokens of the session of the cookie.

    Raises:
        InvalidTokenError: the session has ended; the answer removes the cookie.
        RateLimitedError: too many refreshes of the session.
    """
    token = request.cookies[COOKIE]
    try:
        session = await deps.auth.session_of(token)
        await count(request, deps, Charge(deps.rules.refreshes, f"session:{session}"))
        return await deps.auth.refresh(token, address=address_of(request, deps))
    except InvalidTokenError:
        _remove_cookie(request)
        raise


def _answer(request: Request, pair: TokenPair) -> Response:
    """Return the access token, and set the cookie, which ends with the browser."""
    request.state.answer_headers["Set-Cookie"] = f"{COOKIE}={pair.refresh_token}; {_ATTRIBUTES}"
    view = PageTokenView(access_token=pair.access_token, expires_in=pair.expires_in_seconds)
    return JSONResponse(view.model_dump())


def _remove_cookie(request: Request) -> None:
    request.state.answer_headers["Set-Cookie"] = f"{COOKIE}=; Max-Age=0; {_ATTRIBUTES}"
