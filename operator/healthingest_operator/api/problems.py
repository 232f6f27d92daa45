"""Conversion of pydantic's validation errors into sentences for the author of a manifest."""

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from healthingest_operator.api.declaring import FORM, RULE_ERROR, Schema
from healthingest_operator.api.schema import schema_with_forms
from healthingest_operator.api.v1alpha1 import HealthIngestSpec

_WRONG_RANGE: Final = frozenset(
    {
        "greater_than_equal",
        "less_than_equal",
    }
)
_TYPES: Final = {
    "string": "text",
    "integer": "an integer",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
}


def problems_of(error: ValidationError) -> tuple[str, ...]:
    """
    Return one sentence for each invalid field of `spec`: its path, and what it permits.

    Values are not repeated: a user may have put a secret into the wrong field.
    """
    found: dict[str, str] = {}
    for detail in error.errors(include_url=False, include_context=True, include_input=False):
        path, schema = _field(detail["loc"])
        found.setdefault(path, f"{path}: {_remedy(detail, schema)}")
    return tuple(found.values())


def _field(location: Sequence[str | int]) -> tuple[str, Schema]:
    """
    Return path and schema of the field at *location*.

    For an entry of a map they are those of the map.
    """
    path = "spec"
    schema: Schema = schema_with_forms(HealthIngestSpec)
    for step in location:
        if isinstance(step, int) and "items" in schema:
            path = f"{path}[{step}]"
            schema = schema["items"]
        elif step in schema.get("properties", {}):
            path = f"{path}.{step}"
            schema = schema["properties"][step]
        else:
            break
    return path, schema


def _remedy(detail: ErrorDetails, schema: Schema) -> str:
    """Return a description of what the field permits."""
    if detail["type"] == RULE_ERROR:
        return str(detail["ctx"]["message"])
    if detail["type"] == "missing":
        return f"is required: {schema.get('description', 'set it')}".rstrip(".")
    if detail["type"] in _WRONG_RANGE:
        return f"must be {_range(schema, 'minimum', 'maximum')}"
    return f"must be {_form(schema)}"


def _form(schema: Schema) -> str:
    """Return a description of valid values: type, range, pattern."""
    if "enum" in schema:
        return f"one of {', '.join(schema['enum'])}"
    kind = schema.get("type", "object")
    form = str(schema.get(FORM) or _TYPES[kind])
    if kind == "integer":
        return f"{form} {_range(schema, 'minimum', 'maximum')}".rstrip()
    if kind == "string":
        return f"{form}, {_range(schema, 'minLength', 'maxLength')} characters long"
    if kind == "array":
        return f"{form} of {_range(schema, 'minItems', 'maxItems')} entries"
    if "additionalProperties" in schema:
        longest = schema["additionalProperties"].get("maxLength")
        values = f", each a text of at most {longest} characters" if longest else ""
        return f"a map of at most {schema['maxProperties']} entries{values}"
    return form


def _range(schema: Schema, least: str, most: str) -> str:
    """Return the range between two bounds of *schema*; empty without bounds."""
    if least in schema and most in schema:
        return f"between {schema[least]} and {schema[most]}"
    if most in schema:
        return f"at most {schema[most]}"
    return f"at least {schema[least]}" if least in schema else ""
