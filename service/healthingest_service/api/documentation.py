"""
The routes `/openapi.json`, `/asyncapi.json`, `/docs` and `/docs/messages`.

`/docs` is Swagger UI, served from files of this package, `/docs/messages` a page of our own. Both
load nothing from other hosts.
"""

from collections.abc import Callable
from functools import cache
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from healthingest_contract.message_schemas import asyncapi_document
from healthingest_service.api.message_page import message_page
from healthingest_service.api.static_files import file_route, page_route

OPENAPI_PATH: Final = "/openapi.json"
ASYNCAPI_PATH: Final = "/asyncapi.json"
DOCS_PATH: Final = "/docs"
MESSAGES_PATH: Final = "/docs/messages"
_FOLDER: Final = "swagger_ui"
_PAGE: Final = "index.html"
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "LICENSE": "text/plain",
    "NOTICE": "text/plain",
}


def openapi_route(document: Callable[[], dict[str, object]]) -> BaseRoute:
    """Return the route of the OpenAPI document, which is built at the first request."""
    cached_document = cache(document)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(cached_document())

    return Route(OPENAPI_PATH, openapi)


def asyncapi_route(version: str) -> BaseRoute:
    """Return the route of the AsyncAPI document of the messages that consumers get."""

    async def asyncapi(_request: Request) -> Response:
        return JSONResponse(asyncapi_document(version))

    return Route(ASYNCAPI_PATH, asyncapi)


def docs_routes(version: str) -> list[BaseRoute]:
    """Return the routes of the pages `/docs` and `/docs/messages`, and of their files."""
    routes: list[BaseRoute] = [file_route(DOCS_PATH, _FOLDER, _PAGE, "text/html")]
    routes += [
        file_route(f"{DOCS_PATH}/{name}", _FOLDER, name, media_type)
        for name, media_type in _ASSETS.items()
    ]
    routes += [
        page_route(
            MESSAGES_PATH,
            lambda: message_page(asyncapi_document(version)).encode(),
            "text/html",
        ),
        file_route(f"{MESSAGES_PATH}.css", "message_page_files", "page.css", "text/css"),
    ]
    return routes
