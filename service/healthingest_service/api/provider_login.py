"""The routes of sign-in at an identity provider: list the providers, exchange a code."""

from typing import Annotated

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse

from healthingest_service.api.accounts import TokensView, note_login, tokens_answer
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.dependencies import ApiDeps, address_of, count
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.parsed_body import JSON_TYPE, ClosedModel, described_body, json_body
from healthingest_service.identity.errors import IdentityError, IdentityUnavailableError
from healthingest_service.identity.model import TokenPair
from healthingest_service.identity.provider_login import ListedProvider, SignIn
from healthingest_service.identity.throttling import Charge

UrlText = Annotated[str, Field(min_length=1, max_length=2048)]


class SigningIn(ClosedModel):
    """
    A code of an identity provider, and what the page has kept since the redirect.

    `issuer` is that of `GET /auth/oidc`, `iss` the parameter of the redirect if it has one.
    """

    issuer: UrlText
    code: Annotated[str, Field(repr=False, pattern=r"^[\x20-\x7e]{1,4096}$")]
    code_verifier: Annotated[str, Field(repr=False, pattern=r"^[A-Za-z0-9._~-]{43,128}$")]
    redirect_uri: UrlText
    nonce: Annotated[str, Field(repr=False, pattern=r"^[A-Za-z0-9._~-]{22,255}$")]
    iss: UrlText | None = None


class ProviderView(BaseModel):
    """
    An identity provider, and what a page needs to send the browser there.

    `authorization_endpoint` is null while the provider does not answer.
    """

    name: str
    issuer: str
    authorization_endpoint: str | None
    client_id: str
    redirect_uris: list[str]
    scopes: list[str]


class ProvidersView(BaseModel):
    """The identity providers at which users can sign in."""

    providers: list[ProviderView]


def routes() -> APIRouter:
    """Return the router of the sign-in routes."""
    router = APIRouter(prefix="/auth/oidc", tags=["accounts"])
    router.add_api_route(
        "",
        list_providers,
        methods=["GET"],
        operation_id="listIdentityProviders",
        response_model=ProvidersView,
        responses=problem_answers(429),
    )
    router.add_api_route(
        "/login",
        log_in_with_code,
        methods=["POST"],
        operation_id="logInWithCode",
        response_model=TokensView,
        responses=problem_answers(400, 401, 403, 404, 408, 413, 415, 422, 429, 503),
        openapi_extra=described_body(SigningIn, JSON_TYPE),
    )
    return router


async def list_providers(request: Request, deps: ApiDeps) -> Response:
    """List the identity providers at which users can sign in."""
    await count(request, deps, Charge(deps.rules.logins, f"providers:{address_of(request, deps)}"))
    found = await deps.provider_login.providers()
    view = ProvidersView(providers=[_view(one) for one in found])
    return JSONResponse(view.model_dump(mode="json"))


async def log_in_with_code(request: Request, deps: ApiDeps) -> Response:
    """
    Exchange the code of an identity provider for tokens.

    A code can be exchanged once. The session ends after some hours, also if it is refreshed.
    """
    return tokens_answer(await code_login(request, deps))


async def code_login(request: Request, deps: ApiDependencies) -> TokenPair:
    """
    Exchange the code of the body for tokens of a session; counted and recorded.

    Raises:
        IdentityError: as in `ProviderLogin.log_in`.
        RateLimitedError: too many logins from the address.
        RequestRefusedError, RequestValidationError: as in `json_body`.
    """
    given = await json_body(SigningIn, request, deps)
    await count(request, deps, Charge(deps.rules.logins, f"code:{address_of(request, deps)}"))
    sign_in = SignIn(
        issuer=given.issuer,
        code=given.code,
        code_verifier=given.code_verifier,
        nonce=given.nonce,
        redirect_uri=given.redirect_uri,
        redirected_from=given.iss,
    )
    try:
        pair = await deps.provider_login.log_in(sign_in)
    except IdentityUnavailableError:
        raise
    except IdentityError:
        deps.metrics.logins.labels("refused").inc()
        raise
    deps.metrics.logins.labels("accepted").inc()
    note_login(request, pair)
    return pair


def _view(provider: ListedProvider) -> ProviderView:
    client = provider.client
    endpoints = provider.endpoints
    return ProviderView(
        name=client.name,
        issuer=provider.issuer,
        authorization_endpoint=None if endpoints is None else endpoints.authorization,
        client_id=client.client_id,
        redirect_uris=list(client.redirect_uris),
        scopes=list(client.scopes),
    )
