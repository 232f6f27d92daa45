"""
The operation `createUpload` in front of FastAPI, which each upload would otherwise pay for.

FastAPI's router, dependencies and exception handlers took 7 of 47 parts of the API's processor
time (decision 0104). Guard, handler and answers to errors are those of its route, which the
description is made from.
"""

from collections.abc import Sequence
from typing import Final

from fastapi import Request
from fastapi.routing import APIRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from healthingest_service.api.dependencies import api_dependencies, uploader
from healthingest_service.api.problems import answer
from healthingest_service.api.uploads import create_upload

OPERATION: Final = "createUpload"
_METHOD: Final = "POST"


class DirectUpload:
    """Answers uploads to *route*, and passes every other request on."""

    def __init__(self, app: ASGIApp, *, route: APIRoute, errors: Sequence[type[Exception]]) -> None:
        self._app = app
        self._route = route
        self._errors = tuple(errors)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request as the class describes."""
        if (
            scope["type"] != "http"
            or scope["path"] != self._route.path
            or scope["method"] != _METHOD
        ):
            await self._app(scope, receive, send)
            return
        scope["route"] = self._route
        request = Request(scope, receive, send)
        deps = await api_dependencies(request)
        deps.tracing.name_request(_METHOD, self._route.path)
        try:
            response = await create_upload(request, deps, await uploader(request, deps))
        except self._errors as error:
            response = await answer(request, error)
        await response(scope, receive, send)


def upload_route(routes: Sequence[APIRoute]) -> APIRoute:
    """Return the route of the operation."""
    return next(route for route in routes if route.operation_id == OPERATION)
