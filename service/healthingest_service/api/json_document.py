"""Reading a JSON document from a request body."""

from typing import Final, TypeVar

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, ValidationError

from healthingest_service.api.api_dependencies import ApiDependencies
from healthingest_service.api.body import media_type, small_body
from healthingest_service.api.openapi import SCHEMA_REFERENCE
from healthingest_service.api.problems import RequestRefusedError

JSON_TYPE: Final = "application/json"
Document = TypeVar("Document", bound=BaseModel)


class Closed(BaseModel):
    """A document without unknown fields."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


async def json_document(request: Request, deps: ApiDependencies, model: type[Document]) -> Document:
    """
    Return the body as *model*.

    Raises:
        RequestRefusedError: the body is no JSON document, or too large.
        RequestValidationError: a field is missing or invalid; the error has no value of it.
    """
    if media_type(request) != JSON_TYPE:
        code = "unsupported-media-type"
        raise RequestRefusedError(code)
    try:
        return model.model_validate_json(await small_body(request, deps.body))
    except ValidationError as error:
        raise RequestValidationError(
            error.errors(include_input=False, include_context=False)
        ) from None


def described(model: type[BaseModel]) -> dict[str, object]:
    """Return the OpenAPI description of a request body; `openapi.completed` moves its `$defs`."""
    schema = model.model_json_schema(ref_template=SCHEMA_REFERENCE)
    return {"requestBody": {"required": True, "content": {JSON_TYPE: {"schema": schema}}}}
