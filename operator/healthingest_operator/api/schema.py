"""The structural OpenAPI schema of an API model, for a CustomResourceDefinition."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema

from healthingest_operator.api.declaring import FORM, OPTIONAL, POD_FIELD, ApiModel, Schema

_ORDER: Final = ("type", "description", "enum", "properties", "required", "items", "default")


class _Generate(GenerateJsonSchema):
    def encode_default(self, dft: object) -> object:
        """
        Return the default in the form that the API server needs.

        The API server applies nested defaults, but checks rules first. The default of an object
        with rules is therefore complete. An empty list or map gives None, which means no default.
        """
        if dft in ((), {}):
            return None
        if isinstance(dft, ApiModel):
            return dft.model_dump(
                mode="json", by_alias=True, exclude_none=True, exclude_unset=not dft.rules
            )
        if isinstance(dft, tuple):
            return [self.encode_default(element) for element in dft]
        return super().encode_default(dft)


@cache
def schema_with_forms(model: type[ApiModel]) -> Schema:
    """Return the schema of *model* with the descriptions of its patterns under `FORM`."""
    found = model.model_json_schema(by_alias=True, schema_generator=_Generate)
    return _structural(found, found.get("$defs", {}))


def structural_schema(model: type[ApiModel]) -> Schema:
    """Return the schema of *model* for a CustomResourceDefinition."""
    written: Schema = _without_forms(schema_with_forms(model))
    return written


def _structural(found: Schema, definitions: Schema) -> Schema:
    """
    Return *found* with the definitions in place of references.

    Titles, null and empty lists are removed, because a structural schema has none.
    """
    described = _not_null(_dereferenced(found, definitions), definitions)
    if described.get("default") is None:
        described.pop("default", None)
    if "properties" in described:
        described |= _fields(described, definitions)
    for name in ("items", "additionalProperties"):
        if isinstance(described.get(name), Mapping):
            described[name] = _structural(described[name], definitions)
    return _ordered(described)


def _dereferenced(found: Schema, definitions: Schema) -> Schema:
    """Return *found* with the definition that it refers to; its own keywords take precedence."""
    described = dict(found)
    if "$ref" not in described:
        return described
    name = described.pop("$ref").rpartition("/")[2]
    return {**definitions[name], **described}


def _not_null(described: Schema, definitions: Schema) -> Schema:
    """Return *described*; a choice between one schema and null becomes that schema."""
    choices = [part for part in described.get("anyOf", ()) if part != {"type": "null"}]
    if len(choices) != 1:
        return described
    own = {name: value for name, value in described.items() if name != "anyOf"}
    return _not_null(_dereferenced({**choices[0], **own}, definitions), definitions)


def _ordered(described: Schema) -> Schema:
    """Return the keywords of a structural schema in the order in which they are usually written."""
    left_out = {"title", "$defs"}
    if isinstance(described.get("additionalProperties"), bool):
        left_out.add("additionalProperties")
    names = (*_ORDER, *sorted(set(described) - set(_ORDER)))
    return {
        name: described[name]
        for name in names
        if name in described and name not in left_out and described[name] != []
    }


def _fields(described: Schema, definitions: Schema) -> Schema:
    """Return the keywords `properties` and `required` of an object."""
    properties = described["properties"]
    return {
        "properties": {name: _structural(part, definitions) for name, part in properties.items()},
        "required": [
            name for name in described.get("required", ()) if OPTIONAL not in properties[name]
        ],
    }


def _without_forms(found: Any) -> Any:  # noqa: ANN401 - any JSON value
    if isinstance(found, dict):
        return {
            name: _without_forms(value)
            for name, value in found.items()
            if name not in {FORM, OPTIONAL, POD_FIELD}
        }
    if isinstance(found, list):
        return [_without_forms(value) for value in found]
    return found
