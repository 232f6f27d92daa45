"""
Declarations for `v1alpha1`: the base model, rules between fields and Kubernetes list types.

Each declaration is used twice. pydantic validates a manifest with it, and `schema` writes it into
the CustomResourceDefinition.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self, TypeAlias

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

Schema: TypeAlias = dict[str, Any]
"""A JSON Schema, as OpenAPI 3.0 and Kubernetes write it."""

VALIDATIONS = "x-kubernetes-validations"
FORM = "x-form"
"""Description of a pattern, for error messages; not written into the CustomResourceDefinition."""
OPTIONAL = "x-optional"
"""Mark of a field that `parse` fills in if it is missing; for `schema`, and not written."""
POD_FIELD = "x-pod-field"
"""Mark of a field that is copied to pods; for `reference`, and not written."""
RULE_ERROR = "rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A rule in CEL for the API server and, as `holds`, in Python for the operator.

    As metadata of a type it applies to that value; in `rules` of a model it applies to the object.
    Without `holds` it is a transition rule, which compares with the previous object: only the API
    server has that. `details` returns a more specific message for a value that breaks the rule.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    details: Callable[[Any], str] | None = None

    def keeps(self, value: object) -> bool:
        """Whether *value* satisfies the rule."""
        return self.holds is None or self.holds(value)

    def check(self, value: object) -> None:
        """
        Check that *value* satisfies the rule.

        Raises:
            PydanticCustomError: it does not.
        """
        if not self.keeps(value):
            message = self.details(value) if self.details else self.message
            raise PydanticCustomError(RULE_ERROR, "{message}", {"message": message})

    def as_schema(self) -> dict[str, str]:
        """Return the entry of `x-kubernetes-validations`."""
        return {"rule": self.cel, "message": self.message}

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def checked(value: object) -> object:
            self.check(value)
            return value

        return core_schema.no_info_after_validator_function(checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(schema)
        found.setdefault(VALIDATIONS, []).append(self.as_schema())
        return found


@dataclass(frozen=True, slots=True)
class Distinct:
    """A list without duplicates: list type `set`, or `map` with *key* as its key."""

    key: str = ""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        def distinct(values: tuple[object, ...]) -> tuple[object, ...]:
            keys = [getattr(value, self.key) if self.key else value for value in values]
            if len(set(keys)) < len(keys):
                what = f"entries with the same {self.key}" if self.key else "equal entries"
                message = f"must not have two {what}"
                raise PydanticCustomError(RULE_ERROR, "{message}", {"message": message})
            return values

        return core_schema.no_info_after_validator_function(distinct, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler(schema)
        found["x-kubernetes-list-type"] = "map" if self.key else "set"
        if self.key:
            found["x-kubernetes-list-map-keys"] = [self.key]
        return found


@dataclass(frozen=True, slots=True)
class PodField:
    """
    A field that the operator copies to pods unchanged, with its schema.

    Only the API server validates it.
    """

    schema: Schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        del schema, handler
        return {**self.schema, POD_FIELD: True}


class ApiModel(BaseModel):
    """
    Base of the API's objects: frozen, strict, snake_case in Python and camelCase in manifests.

    Unknown fields are ignored, because the API server prunes them. The class docstring becomes the
    description in the schema.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="ignore",
        alias_generator=to_camel,
        populate_by_name=True,
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @model_validator(mode="after")
    def _keeps_the_rules(self) -> Self:
        for rule in self.rules:
            rule.check(self)
        return self

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        found = handler.resolve_ref_schema(handler(core_schema))
        if cls.rules:
            found[VALIDATIONS] = [rule.as_schema() for rule in cls.rules]
        return found


def matching(pattern: str, form: str) -> Any:  # noqa: ANN401 - as pydantic's Field is typed
    """Return the constraint that a string matches *pattern*; error messages show *form* instead."""
    return Field(pattern=pattern, json_schema_extra={FORM: form})


Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
