"""Who is asking, and may he: decided from the request's head, before a byte of the body is read."""

from typing import Annotated, Final

from fastapi import Depends, Request

from healthingest_service.api.wire import Wire
from healthingest_service.identity.client_address import client_address
from healthingest_service.identity.errors import (
    MissingScopeError,
    RateLimitedError,
    UnauthenticatedError,
)
from healthingest_service.identity.model import Principal, Scope
from healthingest_service.identity.throttling import Rule

_SCHEME: Final = "bearer "


async def wire_of(
    request: Request,
) -> Wire:  # async, though it waits for nothing: else FastAPI gives it a thread
    """What `create_app` was given."""
    wire: Wire = request.app.state.wire
    return wire


Wired = Annotated[Wire, Depends(wire_of)]


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


async def count(request: Request, wire: Wire, rule: Rule, key: str) -> None:
    """
    Count one request; the answer's `RateLimit` headers will tell.

    Raises:
        RateLimitedError: it is one too many.
    """
    decision = await wire.limiter.hit(rule, key)
    request.state.rate_limits.append(decision)
    if not decision.allowed:
        wire.metrics.rate_limited.labels(rule.name).inc()
        raise RateLimitedError(rule.name, decision.retry_after_seconds)


async def count_address(request: Request, wire: Wire, rule: Rule) -> None:
    """
    Count one request of the client's address.

    Raises:
        RateLimitedError: it is one too many.
    """
    await count(request, wire, rule, f"address:{address_of(request, wire)}")


def address_of(request: Request, wire: Wire) -> str:
    """Return the client's address, behind trusted proxies, as it is counted."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), wire.trusted_proxies)


async def _caller(request: Request, wire: Wire, scope: Scope, rule: Rule) -> Principal:
    principal = await wire.gatekeeper.authenticate(bearer_token(request))
    request.state.principal = principal
    if not principal.may(scope):
        raise MissingScopeError(scope)
    await count(request, wire, rule, f"account:{principal.account_id}")
    return principal


async def uploader(request: Request, wire: Wired) -> Principal:
    """A caller who may upload and has not done so too often."""
    return await _caller(request, wire, Scope.UPLOAD_WRITE, wire.rules.uploads)


async def reader(request: Request, wire: Wired) -> Principal:
    """A caller who may read his uploads and has not asked too often."""
    return await _caller(request, wire, Scope.UPLOAD_READ, wire.rules.requests)


Uploader = Annotated[Principal, Depends(uploader)]
Reader = Annotated[Principal, Depends(reader)]
