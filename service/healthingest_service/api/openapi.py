"""
The OpenAPI document.

Definitions that several routes share, and completion of the document that FastAPI generates.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from healthingest_service.api.permissions import PERMISSIONS
from healthingest_service.api.problems import MEDIA_TYPE, PROBLEMS

JsonObject = dict[str, Any]
"""A part of the OpenAPI document."""
_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "integer", "minimum": 0}
_HEADERS: Final[dict[str, tuple[str, JsonObject]]] = {
    "X-Correlation-ID": ("Identifies the request in logs and messages.", _TEXT),
    "Location": (
        "Path of the upload, `/v1/uploads/{upload_id}`, or of a resumable one.",
        {"type": "string", "format": "uri-reference"},
    ),
    "Retry-After": ("Seconds after which the request can be repeated.", _SECONDS),
    "RateLimit": (
        "Remaining requests or bytes, and seconds until the reset; one value for each limit.",
        _TEXT,
    ),
    "RateLimit-Policy": ("The limit, its unit if that is bytes, and the window in seconds.", _TEXT),
    "WWW-Authenticate": ("How to authenticate (RFC 6750).", _TEXT),
    "ETag": ("Entity tag of the whole file: its SHA-256.", _TEXT),
    "Repr-Digest": ("SHA-256 of the whole file (RFC 9530).", _TEXT),
    "Accept-Ranges": ("`bytes`: ranges can be requested.", _TEXT),
    "Content-Disposition": ("Suggested name of the file.", _TEXT),
    "Content-Range": ("The range that is sent, and the size of the file.", _TEXT),
    "Accept-Encoding": (
        "Accepted content codings of a request; sent with `unsupported-content-coding`.",
        _TEXT,
    ),
}
_HEADERS_OF_RESUMABLE: Final[dict[str, tuple[str, JsonObject]]] = {
    "Tus-Resumable": ("The version of tus: `1.0.0`.", _TEXT),
    "Tus-Version": ("The versions of tus that the service has.", _TEXT),
    "Tus-Extension": ("The extensions of tus that the service has.", _TEXT),
    "Tus-Max-Size": ("The largest file in bytes.", _TEXT),
    "Tus-Checksum-Algorithm": ("The algorithms of `Upload-Checksum`.", _TEXT),
    "Upload-Offset": ("The number of bytes that the service has.", _TEXT),
    "Upload-Length": ("The size of the file in bytes, if it is known.", _TEXT),
    "Upload-Metadata": ("What the client sent.", _TEXT),
    "Upload-Expires": ("When the resumable upload ends, if no more bytes come.", _TEXT),
    "Upload-Complete": ("`?1`: the file is complete, `?0`: it is not.", _TEXT),
    "Upload-Limit": ("The largest file, and the remaining lifetime in seconds.", _TEXT),
    "Accept-Patch": ("The content type of the next bytes.", _TEXT),
    "Healthingest-Upload-Id": ("The upload as which the file was accepted.", _TEXT),
}
_OF_STATUS: Final = {
    "401": ("WWW-Authenticate",),
    "403": ("WWW-Authenticate",),
    "415": ("Accept-Encoding",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
SCHEMA_REFERENCE: Final = "#/components/schemas/{model}"
_UPLOAD: Final = "/v1/upload"
TOKENS_ROUTE: Final = "/v1/tokens"
REDEEM_ROUTE: Final = "/v1/enrolments/redeem"
CONTENT_ROUTE: Final = "/v1/uploads/{upload_id}/content"
FILES_ROUTE: Final = "/v1/files"
FILE_ROUTE: Final = "/v1/files/{file_id}"
RESUMED_ROUTE: Final = "/v1/upload/{resumable_id}"
_WITH_LOCATION: Final = frozenset(
    {(_UPLOAD, "200"), (_UPLOAD, "201"), (TOKENS_ROUTE, "201"), (REDEEM_ROUTE, "201")}
)
_PROGRESS: Final = ("Upload-Offset", "Healthingest-Upload-Id")
_OF_TUS: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (FILES_ROUTE, "201"): ("Location", *_PROGRESS, "Upload-Expires"),
    (FILES_ROUTE, "204"): (
        *("Tus-Version", "Tus-Extension", "Tus-Max-Size", "Tus-Checksum-Algorithm"),
    ),
    (FILE_ROUTE, "200"): (*_PROGRESS, "Upload-Expires", "Upload-Length", "Upload-Metadata"),
    (FILE_ROUTE, "204"): (*_PROGRESS, "Upload-Expires"),
    (FILE_ROUTE, "409"): ("Upload-Offset",),
    (FILES_ROUTE, "412"): ("Tus-Version",),
    (FILE_ROUTE, "412"): ("Tus-Version",),
}
_STATE: Final = (*_PROGRESS, "Upload-Complete", "Upload-Limit", "Upload-Length")
_OF_DRAFT: Final[dict[tuple[str, str], tuple[str, ...]]] = {
    (_UPLOAD, "201"): _STATE,
    (_UPLOAD, "200"): ("Upload-Complete",),
    (_UPLOAD, "204"): ("Accept-Patch", "Upload-Limit"),
    (RESUMED_ROUTE, "200"): ("Location", *_STATE),
    (RESUMED_ROUTE, "201"): ("Location", *_STATE),
    (RESUMED_ROUTE, "204"): _STATE,
    (RESUMED_ROUTE, "409"): ("Upload-Offset",),
    (RESUMED_ROUTE, "415"): ("Upload-Complete",),
    (RESUMED_ROUTE, "422"): ("Upload-Complete",),
}
_FILE_HEADERS: Final = ("ETag", "Repr-Digest", "Accept-Ranges", "Content-Disposition")
_OF_CONTENT: Final = {
    "200": _FILE_HEADERS,
    "206": (*_FILE_HEADERS, "Content-Range"),
    "304": ("ETag",),
    "416": ("Content-Range",),
}
_COUNTED: Final = ("RateLimit", "RateLimit-Policy")
_DESCRIPTION: Final = """Every answer that is not 2xx is a problem by RFC 9457; act on its `type`.

Each path answers other methods with 405 (`method-not-allowed`) and `Allow`, and `HEAD` where it
answers `GET`. A request that is malformed or has a too large head gets 400 `bad-request`, 414
`url-too-long` or 431 `head-too-large` before routing."""


class FindingView(BaseModel):
    """
    One reason why a file was refused: a stable code, a message, a remedy, and the place.

    It never contains a value of the file.
    """

    code: str
    message: str
    remedy: str
    block: int | None
    record: int | None
    offset: int | None
    path: str | None
    pointer: str | None
    nearest_name: str | None
    cause: str | None
    limit: int | None


class FieldErrorView(BaseModel):
    """One field that is missing or wrong."""

    location: list[str]
    code: str


class ProblemView(BaseModel):
    """A problem by RFC 9457: act on `type`, show `detail`, keep `correlation_id` and `cause`."""

    type: str
    title: str
    status: int
    detail: str
    correlation_id: str
    cause: str | None = None
    limit: str | None = None
    findings: list[FindingView] | None = None
    errors: list[FieldErrorView] | None = None
    limit_bytes: int | None = None
    lock_days: int | None = None


def problem_answers(*statuses: int) -> dict[int | str, JsonObject]:
    """Return the OpenAPI `responses` for problems with *statuses*, and 500."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    return {
        status: {"description": _phrase(status), "content": content} for status in (*statuses, 500)
    }


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:  # a status of tus, not of RFC 9110
        return next(one.title for one in PROBLEMS.values() if one.status == status)


def completed(document: JsonObject) -> JsonObject:
    """Return FastAPI's *document*, completed with problems, headers and security."""
    document["info"]["description"] = _DESCRIPTION
    document["servers"] = [{"url": "/"}]
    components = document.setdefault("components", {})
    schema = ProblemView.model_json_schema(ref_template=SCHEMA_REFERENCE)
    schemas = components.setdefault("schemas", {})
    schemas.update(schema.pop("$defs", {}), ProblemView=schema)
    for never in ("HTTPValidationError", "ValidationError"):
        schemas.pop(never, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    components["headers"] = {
        name: {"description": text, "schema": of_value}
        for name, (text, of_value) in (_HEADERS | _HEADERS_OF_RESUMABLE).items()
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if PERMISSIONS[operation["operationId"]].needs_token:
                operation["security"] = [{"bearer": []}]
            _complete_answers(path, operation["responses"])
            for content in operation.get("requestBody", {}).get("content", {}).values():
                _name_body(schemas, content)
    return document


def _name_body(schemas: JsonObject, content: JsonObject) -> None:
    """Move the schema of a body to the named ones: generators name its type by the name."""
    schema = content["schema"]
    for name, definition in schema.pop("$defs", {}).items():
        schemas.setdefault(name, definition)
    title = schema.get("title")
    if title is not None:
        schemas.setdefault(title, schema)
        content["schema"] = {"$ref": SCHEMA_REFERENCE.format(model=title)}


def _complete_answers(path: str, answers: JsonObject) -> None:
    if MEDIA_TYPE not in answers.get("422", {}).get("content", {MEDIA_TYPE: None}):
        del answers["422"]  # FastAPI adds it to every route with parameters; here it cannot occur
    answers["default"] = problem_answers()[500] | {"description": "Any other problem"}
    is_counted = "429" in answers
    for status, answer in answers.items():
        names = _header_names(path, status, is_counted=is_counted)
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header_names(path: str, status: str, *, is_counted: bool) -> Iterator[str]:
    yield "X-Correlation-ID"
    yield from _OF_STATUS.get(status, ())
    if (path, status) in _WITH_LOCATION:
        yield "Location"
    if path == _UPLOAD and status == "409":
        yield "Retry-After"
    if path == CONTENT_ROUTE:
        yield from _OF_CONTENT.get(status, ())
    yield from _OF_TUS.get((path, status), ())
    yield from _OF_DRAFT.get((path, status), ())
    if path in {FILES_ROUTE, FILE_ROUTE}:
        yield "Tus-Resumable"
    if is_counted and status != "default":
        yield from _COUNTED
