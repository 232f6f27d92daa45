"""Routes of files of this package, for pages that load nothing from other hosts."""

from collections.abc import Callable
from functools import cache
from importlib.resources import files
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

_HEADERS: Final = {
    # img-src: Swagger UI embeds its icons as `data:` URLs.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}


def file_route(path: str, folder: str, name: str, media_type: str) -> BaseRoute:
    """Return the route of the file *name* in *folder* of this package, read at its first use."""
    return page_route(path, (files(__package__) / folder / name).read_bytes, media_type)


def page_route(path: str, content: Callable[[], bytes], media_type: str) -> BaseRoute:
    """Return the route of a page or file, whose *content* is made at its first use."""
    cached_content = cache(content)

    async def page(_request: Request) -> Response:
        return Response(cached_content(), media_type=media_type, headers=_HEADERS)

    return Route(path, page)
