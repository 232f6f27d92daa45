"""The generator of the field tables in the reference of the custom resource."""

import json
from collections.abc import Iterator
from typing import Final

from healthingest_operator.api.declaring import POD_FIELD, ApiModel, Schema
from healthingest_operator.api.schema import schema_with_forms

_HEAD: Final = ("| field | type | default | meaning |", "| --- | --- | --- | --- |")


def field_table(model: type[ApiModel]) -> str:
    """Return the Markdown table of all fields of *model*; a pod field has a single row."""
    return "\n".join((*_HEAD, *_rows(schema_with_forms(model), "")))


def _rows(schema: Schema, path: str) -> Iterator[str]:
    for name, part in schema.get("properties", {}).items():
        field = f"{path}{name}"
        default = "required" if name in schema.get("required", ()) else _default(part)
        meaning = str(part.get("description", "")).replace("|", "\\|")
        yield f"| `{field}` | {_type(part)} | {default} | {meaning} |"
        if POD_FIELD not in part:
            yield from _rows(part, f"{field}.")
        if POD_FIELD not in part.get("items", {}):
            yield from _rows(part.get("items", {}), f"{field}[].")


def _default(schema: Schema) -> str:
    """Return the default; a row of an object shows none, because its fields have rows."""
    if "default" not in schema or schema["type"] == "object":
        return ""
    default = schema["default"]
    return f"`{default if isinstance(default, str) else json.dumps(default)}`"


def _type(schema: Schema) -> str:
    """Return type and range of a field."""
    if "enum" in schema:
        return " \\| ".join(f"`{value}`" for value in schema["enum"])
    if schema["type"] == "array":
        return f"list of {schema['items']['type']}s"
    if "additionalProperties" in schema:
        return "map of text"
    if "minimum" in schema and "maximum" in schema:
        return f"{schema['type']}, {schema['minimum']} to {schema['maximum']}"
    return str(schema["type"])
