"""
The pages that the links in mails open: `GET /auth/reset-password` and `GET /auth/verify`.

A page sends the token of the link's fragment to the route with the same path. It loads nothing from
other hosts.
"""

from typing import Final

from starlette.routing import BaseRoute

from healthingest_service.api.static_files import file_route

_FOLDER: Final = "mail_links"
_PAGES: Final = ("/auth/reset-password", "/auth/verify")
_ASSETS: Final = {"page.css": "text/css", "page.js": "text/javascript"}


def mail_link_routes() -> list[BaseRoute]:
    """Return the routes of the pages and of their files."""
    pages = [file_route(path, _FOLDER, "page.html", "text/html") for path in _PAGES]
    assets = [
        file_route(f"/auth/mail-links/{name}", _FOLDER, name, media_type)
        for name, media_type in _ASSETS.items()
    ]
    return [*pages, *assets]
