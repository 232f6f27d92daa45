"""
Routes that platforms ask: alive, started, ready.

Answered from memory, no connection is opened.
"""

from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.responses import JSONResponse

from healthingest_service.api.dependencies import Wired
from healthingest_service.api.openapi import problem_answers
from healthingest_service.api.problems import RequestRefusedError


class StatusView(BaseModel):
    """All is well."""

    status: Literal["ok"] = "ok"


class AboutView(BaseModel):
    """What this is."""

    name: str
    version: str


def routes() -> APIRouter:
    """The table of routes."""
    router = APIRouter(tags=["health"])
    router.add_api_route("/", about, methods=["GET"], responses=problem_answers(503))
    router.add_api_route("/health/live", live, methods=["GET"], response_model=StatusView)
    for path, handler in (("/health/ready", ready), ("/health/startup", started)):
        router.add_api_route(
            path,
            handler,
            methods=["GET"],
            response_model=StatusView,
            responses=problem_answers(503),
        )
    return router


async def about(wire: Wired) -> AboutView:
    """Name and version."""
    return AboutView(name="healthingest", version=wire.version)


async def live() -> Response:
    """The event loop turns."""
    return _ok()


async def ready(wire: Wired) -> Response:
    """An upload would be accepted."""
    return _ok_if(yes=wire.health.is_ready)


async def started(wire: Wired) -> Response:
    """It has been ready once: the database has the shape that this version needs."""
    return _ok_if(yes=wire.health.has_started)


def _ok_if(*, yes: bool) -> Response:
    if not yes:
        code = "not-ready"
        raise RequestRefusedError(code)
    return _ok()


def _ok() -> Response:
    return JSONResponse({"status": "ok"}, headers={"Cache-Control": "no-store"})
