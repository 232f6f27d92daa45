"""
The routes `/openapi.json` and `/docs`.

`/docs` is Swagger UI, served from files of this package; it loads nothing from other hosts.
"""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

OPENAPI_PATH: Final = "/openapi.json"
DOCS_PATH: Final = "/docs"
_FOLDER: Final = "swagger_ui"
_PAGE: Final = "index.html"
_ASSETS: Final = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
    "LICENSE": "text/plain",
    "NOTICE": "text/plain",
}
_HEADERS: Final = {
    # img-src: Swagger UI embeds its icons as `data:` URLs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def openapi_route(document: Callable[[], dict[str, object]]) -> BaseRoute:
    """Return the route of the OpenAPI document, which is built at the first request."""
    cached_document = cache(document)

    async def openapi(_request: Request) -> Response:
        return JSONResponse(cached_document())

    return Route(OPENAPI_PATH, openapi)


def docs_routes() -> list[BaseRoute]:
    """Return the routes of the page `/docs` and of its files."""
    routes: list[BaseRoute] = [_file_route(DOCS_PATH, _PAGE, "text/html")]
    routes += [
        _file_route(f"{DOCS_PATH}/{name}", name, media_type) for name, media_type in _ASSETS.items()
    ]
    return routes


def _file_route(path: str, name: str, media_type: str) -> BaseRoute:
    content = cache((files(__package__) / _FOLDER / name).read_bytes)

    async def file(_request: Request) -> Response:
        return Response(content(), media_type=media_type, headers=_HEADERS)

    return Route(path, file)
