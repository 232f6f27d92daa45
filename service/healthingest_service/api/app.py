"""The ASGI application of the public port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from healthingest_service.api import (
    account_recovery,
    accounts,
    coverage_gaps,
    downloads,
    enrolments,
    erasures,
    health,
    outcomes,
    own_account,
    page_session,
    provider_login,
    resumable_draft,
    studies,
    study_audit,
    study_uploads,
    tokens,
    tus,
    uploads,
)
from healthingest_service.api.admission import PasswordAdmission
from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.audit_trail import AuditTrail
from healthingest_service.api.direct_upload import DirectUpload, upload_route
from healthingest_service.api.documentation import asyncapi_route, docs_routes, openapi_route
from healthingest_service.api.mail_link_pages import mail_link_routes
from healthingest_service.api.middleware import QUIET_ROUTES, Observer
from healthingest_service.api.openapi import JsonObject, completed
from healthingest_service.api.page_files import page_routes
from healthingest_service.api.problems import RequestRefusedError, answer
from healthingest_service.audit.errors import AuditError
from healthingest_service.identity.errors import IdentityError
from healthingest_service.studies.errors import StudyError
from healthingest_service.uploads.errors import UploadError

TITLE: Final = "HealthIngest upload API"
_KNOWN_ERRORS: Final = (UploadError, AuditError, IdentityError, StudyError, RequestRefusedError)


def create_app(deps: ApiDependencies) -> FastAPI:
    """Return the application; during its lifespan it runs the health checks of *deps*."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(deps.health.run(stop))
            try:
                yield
            finally:
                stop.set()

    app = FastAPI(
        title=TITLE,
        version=deps.version,
        lifespan=lifespan,
        openapi_url=None,  # `documentation` serves the document and the page
        # FastAPI would redirect to the client's `Host`, which may be any host, without TLS.
        redirect_slashes=False,
        telemetry=_telemetry(deps),
    )
    app.state.deps = deps
    for error in (*_KNOWN_ERRORS, RequestValidationError, HTTPException):
        app.add_exception_handler(error, answer)
    has_page = deps.page_session is not None
    for router in _routers(has_page=has_page):
        _answer_head(router)
        app.include_router(router)
    pages = list(mail_link_routes())
    if has_page:
        pages.extend(page_routes())
    if deps.documentation.openapi:
        pages.append(openapi_route(lambda: openapi_document(deps.version, has_page=has_page)))
        pages.append(asyncapi_route(deps.version))
    if deps.documentation.docs:
        pages.extend(docs_routes(deps.version))
    app.router.routes.extend(pages)
    # FastAPI hides the routes of included routers.
    routes = all_routes(has_page=has_page)
    app.state.routes = (*routes, *pages)
    app.add_middleware(DirectUpload, route=upload_route(routes), errors=_KNOWN_ERRORS)
    app.add_middleware(AuditTrail)
    app.add_middleware(PasswordAdmission, is_full=deps.is_password_queue_full)
    app.add_middleware(Observer, metrics=deps.metrics, max_concurrency=deps.max_concurrency)
    return app


def _telemetry(deps: ApiDependencies) -> TelemetryConfig:
    """Return FastAPI's spans of requests: to our provider only, and none for probes."""
    return {
        "tracer_provider": deps.tracing.provider,
        "tracing": deps.tracing.provider is not None,
        "metrics": False,
        "logs": False,
        "operation_spans": False,
        "auto_configure": False,
        "exclude": lambda scope: scope["path"] in QUIET_ROUTES,
    }


def openapi_document(version: str, *, has_page: bool = True) -> JsonObject:
    """Return the OpenAPI document of all routes."""
    described = FastAPI()
    for router in _routers(has_page=has_page):
        described.include_router(router)
    return completed(get_openapi(title=TITLE, version=version, routes=described.routes))


def all_routes(*, has_page: bool = True) -> list[APIRoute]:
    """Return the routes of all operations."""
    routers = _routers(has_page=has_page)
    for router in routers:
        _answer_head(router)
    return [route for router in routers for route in router.routes if isinstance(route, APIRoute)]


def _routers(*, has_page: bool) -> tuple[APIRouter, ...]:
    return (
        *((page_session.routes(),) if has_page else ()),
        uploads.routes(),
        tus.routes(),
        resumable_draft.routes(),
        downloads.routes(),
        outcomes.routes(),
        tokens.routes(),
        enrolments.routes(),
        accounts.routes(),
        provider_login.routes(),
        own_account.routes(),
        account_recovery.routes(),
        studies.routes(),
        erasures.routes(),
        study_uploads.routes(),
        coverage_gaps.routes(),
        study_audit.routes(),
        health.routes(),
    )


def _answer_head(router: APIRouter) -> None:
    """Add `HEAD` to each `GET` route (RFC 9110, 9.1); the server omits the content."""
    for route in router.routes:
        methods = route.methods if isinstance(route, APIRoute) else None
        if methods is not None and "GET" in methods:
            methods.add("HEAD")
