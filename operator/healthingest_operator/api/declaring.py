"""
The words in which `v1alpha1` declares fields: the base model, rules and Kubernetes list types.

Each declaration has two readers. pydantic checks a manifest with it, and `schema` writes it into
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
"""Words for a pattern. Only error messages use it; the CustomResourceDefinition leaves it out."""
OPTIONAL = "x-optional"
"""A field that a manifest may omit because `parse` fills it in; not written either."""
POD_FIELD = "x-pod-field"
"""A field that is passed on to pods; not written either."""
RULE_ERROR = "rule"


@dataclass(frozen=True, slots=True)
class Rule:
    """
    A rule between fields: in CEL for the API server and, as `holds`, in Python for the operator.

    As metadata of a type it is about that value; in `rules` of a model it is about the object.
    Without `holds` it compares with the previous object, which only the API server has. `details`,
    where given, returns the message for a value that breaks the rule.
    """

    cel: str
    message: str
    holds: Callable[[Any], bool] | None = None
    details: Callable[[Any], str] | None = None

    def keeps(self, value: object) -> bool:
        """Whether *value* keeps the rule."""
        return self.holds is None or self.holds(value)

    def check(self, value: object) -> None:
        """
        Check *value*.

        Raises:
            PydanticCustomError: the rule is broken.
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
    """A list without equal entries: list type `set`, or `map` with *key* as its key."""

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
    A part of a pod that the operator passes on unchanged, with its schema.

    Only the API server checks it.
    """

    schema: Schema

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        del schema, handler
        return {**self.schema, POD_FIELD: True}


class ApiModel(BaseModel):
    """
    An object of the API: frozen, strict, snake_case here and camelCase in manifests.

    Unknown fields are ignored, as the API server prunes them. Its docstring is the description.
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


def matching(pattern: str, form: str) -> Any:  # noqa: ANN401 - what pydantic's Field returns
    """Return the constraint that a text matches *pattern*; error messages say *form* for it."""
    return Field(pattern=pattern, json_schema_extra={FORM: form})


Int64 = Annotated[int, Field(json_schema_extra={"format": "int64"})]
Int32 = Annotated[int, Field(json_schema_extra={"format": "int32"})]
