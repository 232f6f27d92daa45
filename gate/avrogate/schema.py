"""Parses the JSON text of a schema: Avro specification 1.12, "Schema Declaration"."""

from typing import Any, Final, Protocol

from avrogate.defaults import Default, check_defaults
from avrogate.expansion import check_expansion
from avrogate.explanations import with_limits
from avrogate.logical import LogicalError, logical
from avrogate.model import (
    PRIMITIVES,
    Array,
    Enum,
    Field,
    Fixed,
    Map,
    Named,
    Primitive,
    Record,
    Reference,
    Schema,
    Type,
)
from avrogate.model import Union as UnionType
from avrogate.names import (
    NameRefusedError,
    field_aliases,
    first_name,
    full_name,
    is_name,
    listed,
    own_name,
    qualified,
    simple_name,
    type_aliases,
)
from avrogate.place import Place
from avrogate.policy import Policy
from avrogate.results import Cause, Code, Finding, RefusedError
from avrogate.strictjson import DuplicateKeyError
from avrogate.strictjson import parse as parse_json

_JSON_LEVELS: Final = 4
"""
JSON levels for each level of the schema.

The type of a field is three levels below its record; the fourth is for defaults and properties.
"""
_ORDERS: Final = ("ascending", "descending", "ignore")
_FOREIGN: Final = "__named_schemas"
"""fastavro accepts types under this key as already parsed, and does not check them."""
NAMED: Final = ("record", "error", "enum", "fixed")
_ATTRIBUTES: Final = frozenset({
    "type", "name", "namespace", "doc", "aliases", "fields", "items", "values", "symbols", "size",
    "default", "order",
    "logicalType", "precision", "scale",
})  # fmt: skip
"""Keys that a pointer may contain; other keys are text of the author of the file."""


class Definitions(Protocol):
    """Types that are defined outside of the text, for example in other files of a set."""

    def find(self, name: str) -> tuple[dict[str, Any], str, Place] | None:
        """
        Return the definition of the full name *name*, its enclosing namespace and its place.

        None if there is no definition.
        """
        ...

    def has(self, name: str, value: dict[str, Any]) -> bool:
        """Whether *value* is a definition of the full name *name*."""
        ...


class UnknownTypeError(RefusedError):
    """
    `name` is not defined.

    It is text of the author of the schema, so it must not be shown to anybody else.
    """

    def __init__(self, name: str, refused: RefusedError) -> None:
        super().__init__(*refused.findings)
        self.name = name


def parse_schema(text: bytes, policy: Policy) -> Schema:
    """
    Return the schema that *text* (UTF-8 JSON) declares, within the limits of *policy*.

    Raises:
        RefusedError: one finding with its place.
    """
    try:
        return build_schema(parse_text(text, policy), policy)
    except RefusedError as refused:
        raise with_limits(refused, policy) from None


def parse_text(text: bytes, policy: Policy) -> Any:  # noqa: ANN401 - JSON can be anything
    """Return the JSON value of *text*; raises `RefusedError`."""
    if len(text) > policy.max_schema_bytes:
        raise RefusedError(Finding(Code.SCHEMA_TOO_LARGE))
    try:
        return parse_json(text.decode(), max_depth=_JSON_LEVELS * (policy.max_schema_depth + 1))
    except UnicodeDecodeError:
        raise RefusedError(Finding(Code.SCHEMA_NOT_JSON)) from None
    except DuplicateKeyError as error:
        raise _duplicate_key(error, policy) from None


# ANN401: from JSON
def build_schema(value: Any, policy: Policy, definitions: Definitions | None = None) -> Schema:  # noqa: ANN401
    """
    The schema that the JSON *value* declares, with types of *definitions* written out.

    Raises `RefusedError`.
    """
    parser = _Parser(policy, definitions)
    root = parser.type(value, "", Place(), 1)
    schema = Schema(root, parser.named())
    check_defaults(schema, parser.defaults)
    check_expansion(schema, policy)
    return schema


def _duplicate_key(error: DuplicateKeyError, policy: Policy) -> RefusedError:
    """Refuse at the key, or at the innermost place on its path with keys of the specification."""
    place = Place()
    value = error.value
    for step in (*error.steps, error.key):
        if isinstance(value, dict) and value.get("type") in NAMED:
            place = _within(place, value, own_name(value, "", policy), policy)
        elif isinstance(value, dict) and error.key != "name" and is_name(value.get("name"), policy):
            place = place.field(value["name"])
        if isinstance(step, str) and step not in _ATTRIBUTES:
            break
        place = place.at(step)
        value = value[step]
    return place.refusal(Code.SCHEMA_DUPLICATE_KEY)


def _within(place: Place, value: dict[str, Any], name: str | None, policy: Policy) -> Place:
    """
    Return *place* with the nearest name of the type that *value* defines.

    That is its own *name*, else the enclosing name, else the first name within it.
    """
    if name is None and place.nearest_name is None:
        name = first_name(value, policy)
    return place if name is None else place.within(name)


class _Parser:
    """Reads the JSON value depth first, which is the order in which names are resolved."""

    def __init__(self, policy: Policy, definitions: Definitions | None) -> None:
        self._policy = policy
        self._definitions = definitions
        self._names: dict[str, Named | None] = {}  # None while its definition is being read
        self._nodes = 0
        self.defaults: list[Default] = []

    def named(self) -> dict[str, Named]:
        """Return all named types, after their definitions have been read."""
        return {name: type_ for name, type_ in self._names.items() if type_ is not None}

    # ANN401: from JSON
    def type(self, value: Any, namespace: str, place: Place, depth: int) -> Type:  # noqa: ANN401
        """Return the type that *value* declares in *namespace*."""
        self._count_node(place, depth)
        match value:
            case str() if value in PRIMITIVES:
                return Primitive(value)
            case str():
                return self._reference(value, namespace, place, depth)
            case list():
                return self._union(value, namespace, place, depth)
            case dict():
                return self._object(value, namespace, place, depth)
        raise place.refusal(Code.SCHEMA_TYPE_UNKNOWN)

    def _count_node(self, place: Place, depth: int) -> None:
        self._nodes += 1
        if depth > self._policy.max_schema_depth:
            raise place.refusal(Code.SCHEMA_TOO_DEEP)
        if self._nodes > self._policy.max_schema_nodes:
            raise place.refusal(Code.SCHEMA_TOO_MANY_NODES)

    def _object(self, value: dict[str, Any], namespace: str, place: Place, depth: int) -> Type:
        name = own_name(value, namespace, self._policy) if "name" in value else None
        if name in self._names and self._is_outside(name, value):
            return Reference(name)  # already written out at its first reference
        place = _within(place, value, name, self._policy)
        try:
            return self._declared(value, namespace, place, depth)
        except NameRefusedError as error:
            raise place.at(*error.steps).refusal(error.code, error.cause) from None
        except LogicalError as error:
            raise place.refusal(error.code) from None

    def _is_outside(self, name: str, value: dict[str, Any]) -> bool:
        """Whether `Definitions` has *value* under *name*."""
        return self._definitions is not None and self._definitions.has(name, value)

    def _reference(self, name: str, namespace: str, place: Place, depth: int) -> Type:
        """
        Return the type *name*, which was defined before or is in `Definitions`.

        The null namespace is searched too, as Apache's Java library does.
        """
        full = name if "." in name else qualified(name, namespace)
        for candidate in (full, name):
            if candidate in self._names:
                return Reference(candidate)
            if (
                self._definitions is not None
                and (found := self._definitions.find(candidate)) is not None
            ):
                return self.type(*found, depth)
        raise UnknownTypeError(full, place.refusal(Code.SCHEMA_TYPE_UNKNOWN))

    def _union(self, value: list[Any], namespace: str, place: Place, depth: int) -> UnionType:
        branches = tuple(
            self.type(branch, namespace, place.at(number), depth + 1)
            for number, branch in enumerate(value)
        )
        kinds = [_kind(branch) for branch in branches]
        if not branches or "union" in kinds or len(set(kinds)) != len(kinds):
            raise place.refusal(Code.SCHEMA_UNION_INVALID)
        return UnionType(branches)

    def _declared(self, value: dict[str, Any], namespace: str, place: Place, depth: int) -> Type:
        word = value.get("type")
        if _FOREIGN in value:
            raise place.refusal(Code.SCHEMA_ATTRIBUTE_INVALID)
        match word:
            case "array" | "map":
                key = _BELOW[word]
                below = self.type(_demand(value, key, place), namespace, place.at(key), depth + 1)
                return Array(below) if word == "array" else Map(below)
            case "record" | "error":
                return self._record(value, namespace, place, depth)
            case "fixed":
                return self._fixed(value, namespace, place)
            case "enum":
                return self._enum(value, namespace, place)
            case str() if word in PRIMITIVES:
                return Primitive(word, logical(word, value, self._policy))
            case str():
                return self._reference(word, namespace, place.at("type"), depth)
            case None:
                raise place.refusal(Code.SCHEMA_ATTRIBUTE_MISSING)
        raise place.at("type").refusal(Code.SCHEMA_TYPE_UNKNOWN)

    def _define(self, value: dict[str, Any], namespace: str, place: Place) -> str:
        if value.get("name") == "" and value["type"] == "record" and not place.steps:
            raise NameRefusedError(Code.SCHEMA_NAME_INVALID, "name", cause=Cause.EMPTY_RECORD_NAME)
        name = full_name(value, namespace, self._policy)
        if name in self._names:
            raise place.at("name").refusal(Code.SCHEMA_NAME_REDEFINED)
        self._names[name] = None
        return name

    def _fixed(self, value: dict[str, Any], namespace: str, place: Place) -> Fixed:
        name = self._define(value, namespace, place)
        size = _demand(value, "size", place)
        if type(size) is not int or size < 0:
            raise place.at("size").refusal(Code.SCHEMA_ATTRIBUTE_INVALID)
        check = logical("fixed", value, self._policy, size=size)
        fixed = Fixed(name, size, check, type_aliases(value, name, self._policy))
        self._names[name] = fixed
        return fixed

    def _enum(self, value: dict[str, Any], namespace: str, place: Place) -> Enum:
        name = self._define(value, namespace, place)
        _demand(value, "symbols", place)
        symbols = tuple(
            simple_name(symbol, self._policy, "symbols", number)
            for number, symbol in enumerate(listed(value, "symbols"))
        )
        _demand_unique(symbols, place.at("symbols"), Code.SCHEMA_SYMBOL_DUPLICATE)
        if "default" in value and value["default"] not in symbols:
            raise place.at("default").refusal(Code.SCHEMA_DEFAULT_INVALID)
        enum = Enum(name, symbols, value.get("default"), type_aliases(value, name, self._policy))
        self._names[name] = enum
        return enum

    def _record(self, value: dict[str, Any], namespace: str, place: Place, depth: int) -> Record:
        name = self._define(value, namespace, place)
        _demand(value, "fields", place)
        inside = name.rpartition(".")[0]
        fields = tuple(
            self._field(field, inside, place.at("fields", number), depth)
            for number, field in enumerate(listed(value, "fields"))
        )
        names = tuple(field.name for field in fields)
        _demand_unique(names, place.at("fields"), Code.SCHEMA_FIELD_DUPLICATE, "name")
        record = Record(name, fields, value["type"], type_aliases(value, name, self._policy))
        self._names[name] = record
        return record

    # ANN401: from JSON
    def _field(self, value: Any, namespace: str, place: Place, depth: int) -> Field:  # noqa: ANN401
        if not isinstance(value, dict):
            raise place.refusal(Code.SCHEMA_ATTRIBUTE_INVALID)
        try:
            name = simple_name(_demand(value, "name", place), self._policy)
        except NameRefusedError as error:
            raise place.at("name").refusal(error.code) from None
        here = place.field(name)
        if value.get("order", "ascending") not in _ORDERS:
            raise here.at("order").refusal(Code.SCHEMA_ATTRIBUTE_INVALID)
        type_ = self.type(_demand(value, "type", here), namespace, here.at("type"), depth + 1)
        if "default" in value:
            self.defaults.append(Default(here.at("default"), type_, value["default"]))
        try:
            return Field(name, type_, "default" in value, field_aliases(value, self._policy))
        except NameRefusedError as error:
            raise here.at(*error.steps).refusal(error.code) from None


_BELOW: Final = {"array": "items", "map": "values"}


def _kind(type_: Type) -> str:
    """Return what must be unique among the branches of a union: a kind, or the name of a type."""
    match type_:
        case Primitive(kind):
            return kind
        case Array():
            return "array"
        case Map():
            return "map"
        case UnionType():
            return "union"
    return f"named {type_.name}"


def _demand(value: dict[str, Any], key: str, place: Place) -> Any:  # noqa: ANN401 - from JSON
    if key not in value:
        raise place.refusal(Code.SCHEMA_ATTRIBUTE_MISSING)
    return value[key]


def _demand_unique(names: tuple[str, ...], place: Place, code: Code, *steps: str) -> None:
    """Refuse the first repeated name; *steps* lead to the name from its item."""
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            raise place.at(number, *steps).within(f"{place.nearest_name}.{name}").refusal(code)
        seen.add(name)
