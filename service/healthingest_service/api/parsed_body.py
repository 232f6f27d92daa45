"""Small request bodies, JSON or a form, parsed by a pydantic model."""

from typing import Final, TypeVar
from urllib.parse import parse_qs

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.body import media_type, small_body
from healthingest_service.api.openapi import SCHEMA_REFERENCE
from healthingest_service.api.problems import RequestRefusedError

JSON_TYPE: Final = "application/json"
FORM_TYPE: Final = "application/x-www-form-urlencoded"
_MAX_FORM_FIELDS: Final = 10
Body = TypeVar("Body", bound=BaseModel)


class ClosedModel(BaseModel):
    """The base of JSON bodies: unknown fields are refused, and errors contain no values."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


def described_body(model: type[BaseModel], content_type: str) -> dict[str, object]:
    """Return the OpenAPI description of a body; `openapi.completed` names its schema."""
    schema = model.model_json_schema(ref_template=SCHEMA_REFERENCE)
    return {"requestBody": {"required": True, "content": {content_type: {"schema": schema}}}}


async def json_body(model: type[Body], request: Request, deps: ApiDependencies) -> Body:
    """
    Return the JSON body.

    Raises:
        RequestRefusedError, BodyTooSlowError, BodyIncompleteError: another type, or as in
            `small_body`.
        RequestValidationError: fields are missing or invalid.
    """
    _require(request, JSON_TYPE)
    return parsed(model, await small_body(request, deps.body))


async def form_body(model: type[Body], request: Request, deps: ApiDependencies) -> Body:
    """Return the form body; raises the errors of `json_body`."""
    _require(request, FORM_TYPE)
    try:
        text = (await small_body(request, deps.body)).decode()
        fields = parse_qs(
            text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FORM_FIELDS
        )
    except ValueError:
        code = "bad-request"
        raise RequestRefusedError(code) from None
    return parsed(model, {name: values[0] for name, values in fields.items() if len(values) == 1})


def _require(request: Request, content_type: str) -> None:
    if media_type(request) != content_type:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)


def parsed(model: type[Body], given: bytes | dict[str, str]) -> Body:
    """
    Return *given*, as JSON or as fields of a form.

    Raises:
        RequestValidationError: fields are missing or invalid; it contains no input.
    """
    try:
        return (
            model.model_validate_json(given)
            if isinstance(given, bytes)
            else model.model_validate(given)
        )
    except ValidationError as error:
        # Input and context are left out: both may contain the password.
        raise RequestValidationError(
            error.errors(include_input=False, include_context=False)
        ) from None
