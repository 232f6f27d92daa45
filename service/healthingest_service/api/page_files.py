"""
The page `/ui` and its files, which are in the folder `page`.

The files have the hash of all of them in their path, so that browsers keep them for ever and never
mix two versions. Only `/ui` itself is asked for again.
"""

import gzip
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

PAGE_PATH: Final = "/ui"
_ASSETS: Final = "/ui/assets"
_FOLDER: Final = "page"
_INDEX: Final = "index.html"
_PLACEHOLDER: Final = b"{assets}"
_TYPES: Final = {"css": "text/css", "html": "text/html", "js": "text/javascript"}
_TYPES_OF_IMAGES: Final = {"svg": "image/svg+xml"}
_VERSION_CHARACTERS: Final = 16
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Encoding",
}


@dataclass(frozen=True, slots=True)
class PageFile:
    """A file of the page, as it is and compressed."""

    media_type: str
    content: bytes
    compressed: bytes


@dataclass(frozen=True, slots=True)
class Page:
    """All files of the page by name; `version` is their hash."""

    version: str
    index: PageFile
    assets: Mapping[str, PageFile]


def page_routes() -> list[BaseRoute]:
    """Return the routes of the page and of its files."""
    return [Route(PAGE_PATH, _index), Route(f"{_ASSETS}/{{version}}/{{name:path}}", _asset)]


@cache
def page() -> Page:
    """Return the page, which is read at its first use."""
    contents = dict(sorted(_contents(files(__package__) / _FOLDER)))
    version = _hash_of(contents)
    index = contents.pop(_INDEX)
    # Without a slash in front, so that the page works below any path of an ingress.
    placed = index.replace(_PLACEHOLDER, f"{_ASSETS[1:]}/{version}".encode())
    assets = {name: _file(name, content) for name, content in contents.items()}
    return Page(version, _file(_INDEX, placed), assets)


def _contents(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _contents(entry, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.read_bytes()


def _hash_of(contents: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for name, content in contents.items():
        digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:_VERSION_CHARACTERS]


def _file(name: str, content: bytes) -> PageFile:
    kind = name.rpartition(".")[2]
    media_type = (_TYPES | _TYPES_OF_IMAGES).get(kind, "text/plain")
    return PageFile(media_type, content, gzip.compress(content, mtime=0))


async def _index(request: Request) -> Response:
    found = page()
    etag = f'"{found.version}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=_SECURITY | headers)
    return _response(request, found.index, headers)


async def _asset(request: Request) -> Response:
    """
    Return a file. During an update another version may be asked for.

    It gets this version's file, which no cache may keep under the other name.
    """
    found = page()
    file = found.assets.get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    is_own = request.path_params["version"] == found.version
    return _response(request, file, {"Cache-Control": _FOR_EVER if is_own else "no-store"})


def _response(request: Request, file: PageFile, headers: dict[str, str]) -> Response:
    headers = _SECURITY | headers
    if not _accepts_gzip(request):
        return Response(file.content, headers=headers, media_type=file.media_type)
    headers |= {"Content-Encoding": "gzip"}
    return Response(file.compressed, headers=headers, media_type=file.media_type)


def _accepts_gzip(request: Request) -> bool:
    """Return whether `gzip` is listed, and not with the weight 0 (RFC 9110, 12.5.3)."""
    codings = request.headers.get("accept-encoding", "").lower().replace(" ", "").split(",")
    weights = (one.removeprefix("gzip").removeprefix(";q=") for one in codings if _is_gzip(one))
    return any(weight.strip("0.") or not weight for weight in weights)


def _is_gzip(coding: str) -> bool:
    return coding == "gzip" or coding.startswith("gzip;q=")
