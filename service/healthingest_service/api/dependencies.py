"""Authentication, authorization and rate limits, applied before the body is read."""

import re
from typing import Annotated, Final

from fastapi import Depends, Path, Request

from healthingest_contract.events import TRACEPARENT
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_details import details_of
from healthingest_service.api.correlation import valid_traceparent
from healthingest_service.api.permissions import permission_of
from healthingest_service.identity.client_address import client_address
from healthingest_service.identity.errors import (
    MissingScopeError,
    RateLimitedError,
    UnauthenticatedError,
)
from healthingest_service.identity.model import Principal, Scope, SignedIn
from healthingest_service.identity.throttling import Charge, Rule
from healthingest_service.studies.decisions import require_role
from healthingest_service.studies.errors import AdminRequiredError
from healthingest_service.studies.model import SLUG_PATTERN, StudyAccess, StudySlug

_SCHEME: Final = "bearer "
_SLUG: Final = re.compile(SLUG_PATTERN)


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


async def count(request: Request, deps: ApiDependencies, *charges: Charge) -> None:
    """
    Count *charges* of a request in their order; the response gets `RateLimit` headers.

    Raises:
        RateLimitedError: a limit is exceeded; later charges are not counted.
    """
    limits = {decision.rule.name: decision for decision in request.state.rate_limits}
    for decision in await deps.limiter.count(*charges):
        limits.pop(decision.rule.name, None)
        limits[decision.rule.name] = decision
        request.state.rate_limits[:] = limits.values()
        if not decision.allowed:
            deps.metrics.rate_limited.labels(decision.rule.name).inc()
            raise RateLimitedError(decision.rule.name, decision.retry_after_seconds)


async def count_address(request: Request, deps: ApiDependencies, rule: Rule) -> None:
    """
    Count one request of the client's address against *rule*.

    Raises:
        RateLimitedError: the limit is exceeded.
    """
    await count(request, deps, Charge(rule, f"address:{address_of(request, deps)}"))


def address_of(request: Request, deps: ApiDependencies) -> str:
    """Return the client's address as it is counted; trusted proxies are skipped."""
    peer = request.client.host if request.client else None
    return client_address(peer, request.headers.getlist("x-forwarded-for"), deps.trusted_proxies)


def traceparent_of(request: Request, deps: ApiDependencies) -> str | None:
    """Return the trace of our span, else that of the client."""
    return deps.tracing.traceparent() or valid_traceparent(request.headers.get(TRACEPARENT))


async def _caller(request: Request, deps: ApiDependencies, rule: Rule) -> Principal:
    principal = await deps.bearer.authenticate(bearer_token(request))
    request.state.principal = principal
    scope = permission_of(request).scope
    if scope is None or not principal.may(scope):
        raise MissingScopeError(scope or "")
    await count(request, deps, Charge(rule, principal.counted_as))
    return principal


async def account_owner(request: Request, deps: ApiDeps) -> SignedIn:
    """
    Return the caller with the session of its login, within the request limit.

    Raises:
        MissingScopeError: the token does not belong to a login.
    """
    principal = await _caller(request, deps, deps.rules.requests)
    if principal.session_id is None:  # of an identity provider, where its user has a password
        raise MissingScopeError(Scope.ACCOUNT)
    return SignedIn(principal.account_id, principal.session_id)


async def uploader(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, with the scope to upload and within the upload limit."""
    return await _caller(request, deps, deps.rules.uploads)


async def caller(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, with the scope of the route and within the request limit."""
    return await _caller(request, deps, deps.rules.requests)


StudyPath = Annotated[
    str, Path(json_schema_extra={"pattern": f"^{SLUG_PATTERN}$"}, description="The study's slug.")
]


async def in_study(request: Request, deps: ApiDeps, study: StudyPath) -> StudyAccess:
    """Return the study of the path, in which the caller has a role that the route needs."""
    principal = await _caller(request, deps, deps.rules.requests)
    access = None
    if _SLUG.fullmatch(study) is not None:
        access = await deps.studies.access(principal.account_id, StudySlug(study))
    if access is not None:
        details_of(request).study = access.study.slug
    permission = permission_of(request)
    return require_role(access, permission.roles, admin=permission.admin)


async def administrator(request: Request, deps: ApiDeps) -> Principal:
    """Return the caller, an administrator of the installation."""
    principal = await _caller(request, deps, deps.rules.requests)
    if not await deps.studies.is_admin(principal.account_id):
        raise AdminRequiredError
    return principal


Uploader = Annotated[Principal, Depends(uploader)]
Owner = Annotated[SignedIn, Depends(account_owner)]
Caller = Annotated[Principal, Depends(caller)]
InStudy = Annotated[StudyAccess, Depends(in_study)]
Administrator = Annotated[Principal, Depends(administrator)]
GUARDS: Final = (uploader, caller, account_owner, in_study, administrator)
"""The dependencies that check the permission of a route."""
