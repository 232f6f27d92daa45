"""
The OpenAPI document.

Pieces that several routes share, and what the framework leaves out of it.
"""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final

from pydantic import BaseModel

from healthingest_service.api.problems import MEDIA_TYPE

_TEXT: Final = {"type": "string"}
_SECONDS: Final = {"type": "integer", "minimum": 0}
_HEADERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "X-Correlation-ID": ("Finds the request in logs and messages.", _TEXT),
    "Location": (
        "The upload: `/v1/uploads/{upload_id}`.",
        {"type": "string", "format": "uri-reference"},
    ),
    "Retry-After": ("When to try again, in seconds.", _SECONDS),
    "RateLimit": (
        "What remains, and for how many seconds; once for each rule that was counted.",
        _TEXT,
    ),
    "RateLimit-Policy": ("The rule: how many in how many seconds.", _TEXT),
    "WWW-Authenticate": ("How to authenticate (RFC 6750).", _TEXT),
    "Accept-Encoding": (
        "The content codings that a request may have; with `unsupported-content-coding`.",
        _TEXT,
    ),
}
_OF_STATUS: Final = {
    "401": ("WWW-Authenticate",),
    "403": ("WWW-Authenticate",),
    "415": ("Accept-Encoding",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
_UPLOAD: Final = "/v1/upload"
_COUNTED: Final = ("RateLimit", "RateLimit-Policy")
_DESCRIPTION: Final = """Every answer that is not 2xx is a problem by RFC 9457; act on its `type`.

Each path answers other methods with 405 (`method-not-allowed`) and `Allow`, and `HEAD` where it
answers `GET`. A request that is malformed or too large is refused before any route with 400
`bad-request`, 414 `url-too-long` or 431 `head-too-large`."""


class FindingView(BaseModel):
    """
    One reason to refuse a file: a stable code, words for people, and where.

    Never a value of the file.
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
    findings: list[FindingView] | None = None
    errors: list[FieldErrorView] | None = None
    limit_bytes: int | None = None


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer so."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    return {
        status: {"description": HTTPStatus(status).phrase, "content": content}
        for status in (*statuses, 500)
    }


def completed(document: dict[str, Any]) -> dict[str, Any]:
    """*document* as the framework makes it, with what really comes: problems, headers, security."""
    document["info"]["description"] = _DESCRIPTION
    document["servers"] = [{"url": "/"}]
    components = document.setdefault("components", {})
    schema = ProblemView.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas = components.setdefault("schemas", {})
    schemas.update(schema.pop("$defs", {}), ProblemView=schema)
    for never in ("HTTPValidationError", "ValidationError"):
        schemas.pop(never, None)
    components["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    }
    components["headers"] = {
        name: {"description": text, "schema": of_value}
        for name, (text, of_value) in _HEADERS.items()
    }
    for path, methods in document["paths"].items():
        for operation in methods.values():
            if path.startswith("/v1/") or path.endswith("/logout"):
                operation["security"] = [{"bearer": []}]
            _complete_answers(path, operation["responses"])
    return document


def _complete_answers(path: str, answers: dict[str, Any]) -> None:
    if MEDIA_TYPE not in answers.get("422", {}).get("content", {MEDIA_TYPE: None}):
        del answers["422"]  # the framework's own: parameters of this route are never refused by it
    answers["default"] = problem_answers()[500] | {"description": "Any other problem"}
    is_counted = "429" in answers
    for status, answer in answers.items():
        names = _header_names(path, status, is_counted=is_counted)
        answer["headers"] = {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _header_names(path: str, status: str, *, is_counted: bool) -> Iterator[str]:
    yield "X-Correlation-ID"
    yield from _OF_STATUS.get(status, ())
    if path == _UPLOAD and status in {"200", "201"}:
        yield "Location"
    if path == _UPLOAD and status == "409":
        yield "Retry-After"
    if is_counted and status != "default":
        yield from _COUNTED
