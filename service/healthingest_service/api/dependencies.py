"""Who is asking, and may he: decided from the request's head, before a byte of the body is read."""

from typing import Annotated, Final

from fastapi import Depends, Request

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.identity.client_address import client_address
from healthingest_service.identity.errors import (
    MissingScopeError,
    RateLimitedError,
    UnauthenticatedError,
)
from healthingest_service.identity.model import Principal, Scope
from healthingest_service.identity.throttling import Rule

_SCHEME: Final = "bearer "


async def api_dependencies(
    request: Request,
) -> ApiDependencies:  # async, though it waits for nothing: else FastAPI gives it a thread
    """What `create_app` was given."""
    deps: ApiDependencies = request.app.state.deps
    return deps


ApiDeps = Annotated[ApiDependencies, Depends(api_dependencies)]


def bearer_token(request: Request) -> str:
    """
    The token of `Authorization: Bearer` (RFC 6750); query and form parameters are not looked at.

    Raises:
        UnauthenticatedError: there is none.
    """
    header = request.headers.get("authorization", "")
    if not header.lower().startswith(_SCHEME) or not header[len(_SCHEME) :].strip():
        raise UnauthenticatedError
    return header[len(_SCHEME) :].strip()


async def count(request: Request, deps: ApiDependencies, rule: Rule, key: str) -> None:
    """
    Count one request; the answer's `RateLimit` headers will tell.

    Raises:
        RateLimitedError: it is one too many.
    """
    decision = await deps.limiter.hit(rule, key)
    request.state.rate_limits.append(decision)
    if not decision.allowed:
        deps.metrics.rate_limited.labels(rule.name).inc()
        raise RateLimitedError(rule.name, decision.retry_after_seconds)


async def count_address(request: Request, deps: ApiDependencies, rule: Rule) -> None:
    """
    Count one request of the client's address.

    Raises:
        RateLimitedError: it is one too many.
    """
    await count(request, deps, rule, f"address:{address_of(request, deps)}")


def address_of(request: Request, deps: ApiDependencies) -> str:
    """Return the client's address, behind trusted proxies, as it is counted."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), deps.trusted_proxies)


async def _caller(request: Request, deps: ApiDependencies, scope: Scope, rule: Rule) -> Principal:
    principal = await deps.auth.authenticate(bearer_token(request))
    request.state.principal = principal
    if not principal.may(scope):
        raise MissingScopeError(scope)
    await count(request, deps, rule, f"account:{principal.account_id}")
    return principal


async def uploader(request: Request, deps: ApiDeps) -> Principal:
    """A caller who may upload and has not done so too often."""
    return await _caller(request, deps, Scope.UPLOAD_WRITE, deps.rules.uploads)


async def reader(request: Request, deps: ApiDeps) -> Principal:
    """A caller who may read his uploads and has not asked too often."""
    return await _caller(request, deps, Scope.UPLOAD_READ, deps.rules.requests)


Uploader = Annotated[Principal, Depends(uploader)]
Reader = Annotated[Principal, Depends(reader)]
