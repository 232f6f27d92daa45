"""Pieces of the OpenAPI document that several routes share."""

from http import HTTPStatus
from typing import Any

from pydantic import BaseModel

from healthingest_service.api.problems import MEDIA_TYPE


class FindingView(BaseModel):
    """One reason to refuse a file: a stable code, words for people, and where. Never a value of the file."""

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
    """A problem by RFC 9457; act on `type`, show `detail`, keep `correlation_id`."""

    type: str
    title: str
    status: int
    detail: str
    correlation_id: str
    findings: list[FindingView] | None = None
    errors: list[FieldErrorView] | None = None
    limit_bytes: int | None = None


def problem_answers(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer so."""
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemView"}}}
    return {status: {"description": HTTPStatus(status).phrase, "content": content} for status in (*statuses, 500)}
