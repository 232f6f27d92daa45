"""
Routes for liveness, startup and readiness probes.

They answer from memory; `health.board` runs the checks in the background.
"""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from healthingest_service.api.dependencies import ApiDeps
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.problems import RequestRefusedError


class StatusView(BaseModel):
    """The answer of a successful probe."""

    status: Literal["ok"] = "ok"


class ServiceInfoView(BaseModel):
    """Name and version of the service."""

    name: str
    version: str


def routes() -> APIRouter:
    """Return the router of the health routes."""
    router = APIRouter(tags=["health"])
    router.add_api_route(
        "/",
        get_service_info,
        methods=["GET"],
        operation_id="getServiceInfo",
        responses=problem_answers(503),
    )
    router.add_api_route(
        "/health/live",
        check_liveness,
        methods=["GET"],
        operation_id="checkLiveness",
        response_model=StatusView,
    )
    for path, handler, operation_id in (
        ("/health/ready", check_readiness, "checkReadiness"),
        ("/health/startup", check_startup, "checkStartup"),
    ):
        router.add_api_route(
            path,
            handler,
            methods=["GET"],
            operation_id=operation_id,
            response_model=StatusView,
            responses=problem_answers(503),
        )
    return router


async def get_service_info(deps: ApiDeps) -> ServiceInfoView:
    """Return the name and version of the service."""
    return ServiceInfoView(name="healthingest", version=deps.version)


async def check_liveness() -> Response:
    """Return 200 while the process answers requests."""
    return _ok()


async def check_readiness(deps: ApiDeps) -> Response:
    """Return 200 when an upload would be accepted, else 503."""
    return _ok_if(yes=deps.health.is_ready)


async def check_startup(deps: ApiDeps) -> Response:
    """Return 200 once the process has been ready: the database schema is current."""
    return _ok_if(yes=deps.health.has_started)


def _ok_if(*, yes: bool) -> Response:
    if not yes:
        code = "not-ready"
        raise RequestRefusedError(code)
    return _ok()


def _ok() -> Response:
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
