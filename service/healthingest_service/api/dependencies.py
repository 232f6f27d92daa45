"""Authentication, authorization and rate limits, applied before the body is read."""

from typing import Annotated, Final

from fastapi import Depends, Request

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.identity.client_address import client_address
from healthingest_service.identity.errors import (
    MissingScopeError,
    RateLimitedError,
    UnauthenticatedError,
)
from healthingest_service.identity.model import Principal, Scope, SignedIn
from healthingest_service.identity.throttling import Rule

_SCHEME: Final = "bearer "
_LOGIN: Final = "account"
"""The scope in the answer to a token that is not one of a login."""


async def api_dependencies(
    request: Request,
) -> ApiDependencies:  # async without an await: FastAPI runs plain functions in a thread
    """Return the dependencies of the application."""
    deps: ApiDependencies = request.app.state.deps
    return deps


ApiDeps = Annotated[ApiDependencies, Depends(api_dependencies)]


def bearer_token(request: Request) -> str:
    """
    Return the token of `Authorization: Bearer` (RFC 6750); query and form are ignored.

    Raises:
        UnauthenticatedError: the header is missing, has another scheme, or has no token.
    """
    header = request.headers.get("authorization", "")
    if not header.lower().startswith(_SCHEME) or not header[len(_SCHEME) :].strip():
        raise UnauthenticatedError
    return header[len(_SCHEME) :].strip()


async def count(request: Request, deps: ApiDependencies, rule: Rule, key: str) -> None:
    """
    Count one request of *key* against *rule*; the response gets `RateLimit` headers.

    Raises:
        RateLimitedError: the limit is exceeded.
    """
    decision = await deps.limiter.hit(rule, key)
    request.state.rate_limits.append(decision)
    if not decision.allowed:
        deps.metrics.rate_limited.labels(rule.name).inc()
        raise RateLimitedError(rule.name, decision.retry_after_seconds)


async def count_address(request: Request, deps: ApiDependencies, rule: Rule) -> None:
    """
    Count one request of the client's address against *rule*.

    Raises:
        RateLimitedError: the limit is exceeded.
    """
    await count(request, deps, rule, f"address:{address_of(request, deps)}")


def address_of(request: Request, deps: ApiDependencies) -> str:
    """Return the client's address as it is counted; trusted proxies are skipped."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), deps.trusted_proxies)


async def _caller(request: Request, deps: ApiDependencies, scope: Scope, rule: Rule) -> Principal:
    principal = await deps.bearer.authenticate(bearer_token(request))
    request.state.principal = principal
    if not principal.may(scope):
        raise MissingScopeError(scope)
    await count(request, deps, rule, principal.counted_as)
    return principal


async def account_owner(request: Request, deps: ApiDeps) -> SignedIn:
    """
    Return the caller with the session of its login, within the request limit.

    Raises:
        MissingScopeError: the token does not belong to a login.
    """
    principal = await deps.bearer.authenticate(bearer_token(request))
    request.state.principal = principal
    if principal.session_id is None:
        raise MissingScopeError(_LOGIN)
    await count(request, deps, deps.rules.requests, f"account:{principal.account_id}")
    return SignedIn(principal.account_id, principal.session_id)


async def uploader(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, with the scope to upload and within the upload limit."""
    return await _caller(request, deps, Scope.UPLOAD_WRITE, deps.rules.uploads)


async def reader(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, with the scope to read uploads and within the request limit."""
    return await _caller(request, deps, Scope.UPLOAD_READ, deps.rules.requests)


async def account_holder(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, who may administer the own account, within the request limit."""
    return await _caller(request, deps, Scope.ACCOUNT, deps.rules.requests)


Uploader = Annotated[Principal, Depends(uploader)]
Reader = Annotated[Principal, Depends(reader)]
Owner = Annotated[SignedIn, Depends(account_owner)]
AccountHolder = Annotated[Principal, Depends(account_holder)]
