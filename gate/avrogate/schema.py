"""From the text of a schema to its value: Avro specification 1.12, "Schema Declaration"."""

from typing import Any, Final

from avrogate.defaults import Promise, check_defaults
from avrogate.expansion import check_expansion
from avrogate.logical import LogicalError, logical
from avrogate.model import PRIMITIVES, Array, Enum, Field, Fixed, Map, Named, Primitive, Record, Reference, Schema, Type
from avrogate.model import Union as UnionType
from avrogate.names import NameRefusedError, field_aliases, full_name, listed, qualified, simple_name, type_aliases
from avrogate.policy import Policy
from avrogate.strictjson import parse as parse_json
from avrogate.verdict import Code, Finding, RefusedError

_JSON_LEVELS: Final = 4
"""A record's field's type stands three JSON levels below the record; one more is room for defaults and properties."""
_ORDERS: Final = ("ascending", "descending", "ignore")
_FOREIGN: Final = "__named_schemas"
"""fastavro takes types under this key for parsed ones, unchecked, from whoever wrote the file."""

Path = tuple[str, ...]


def parse_schema(text: bytes, policy: Policy) -> Schema:
    """
    The schema that *text* (UTF-8 JSON) declares; all that the policy demands of a schema holds.

    Raises:
        RefusedError: one finding, with the path of fields that leads to it.
    """
    if len(text) > policy.max_schema_bytes:
        raise RefusedError(Finding(Code.SCHEMA_TOO_LARGE))
    try:
        characters = text.decode()
    except UnicodeDecodeError:
        raise RefusedError(Finding(Code.SCHEMA_NOT_JSON)) from None
    value = parse_json(characters, max_depth=_JSON_LEVELS * (policy.max_schema_depth + 1))
    parser = _Parser(policy)
    root = parser.type(value, "", (), 1)
    schema = Schema(root, parser.named())
    check_defaults(schema, parser.promises)
    check_expansion(schema, policy)
    return schema


class _Parser:
    """One pass over the JSON value, depth first and left to right, as the specification resolves names."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._names: dict[str, Named | None] = {}  # None: being defined
        self._nodes = 0
        self.promises: list[Promise] = []

    def named(self) -> dict[str, Named]:
        """Every named type; none is open any more."""
        return {name: type_ for name, type_ in self._names.items() if type_ is not None}

    def type(self, value: Any, namespace: str, path: Path, depth: int) -> Type:  # noqa: ANN401 - from JSON
        """The type that *value* declares in *namespace*."""
        self._nodes += 1
        if depth > self._policy.max_schema_depth:
            raise _refusal(Code.SCHEMA_TOO_DEEP, path)
        if self._nodes > self._policy.max_schema_nodes:
            raise _refusal(Code.SCHEMA_TOO_MANY_NODES, path)
        try:
            match value:
                case str():
                    return Primitive(value) if value in PRIMITIVES else self._reference(value, namespace)
                case list():
                    return self._union(value, namespace, path, depth)
                case dict():
                    return self._declared(value, namespace, path, depth)
        except (NameRefusedError, LogicalError) as error:
            raise _refusal(error.code, path) from None
        raise _refusal(Code.SCHEMA_TYPE_UNKNOWN, path)

    def _reference(self, name: str, namespace: str) -> Reference:
        """A type defined before; in the null namespace too, as Apache's Java library writes and reads it."""
        for candidate in (name if "." in name else qualified(name, namespace), name):
            if candidate in self._names:
                return Reference(candidate)
        raise NameRefusedError(Code.SCHEMA_TYPE_UNKNOWN)

    def _union(self, value: list[Any], namespace: str, path: Path, depth: int) -> UnionType:
        branches = tuple(self.type(branch, namespace, path, depth + 1) for branch in value)
        kinds = [_kind(branch) for branch in branches]
        if not branches or "union" in kinds or len(set(kinds)) != len(kinds):
            raise _refusal(Code.SCHEMA_UNION_INVALID, path)
        return UnionType(branches)

    def _declared(self, value: dict[str, Any], namespace: str, path: Path, depth: int) -> Type:
        word = value.get("type")
        if _FOREIGN in value:
            raise _refusal(Code.SCHEMA_ATTRIBUTE_INVALID, path)
        match word:
            case "array" | "map":
                below = self.type(_demand(value, _BELOW[word], path), namespace, path, depth + 1)
                return Array(below) if word == "array" else Map(below)
            case "record" | "error":
                return self._record(value, namespace, path, depth)
            case "fixed":
                return self._fixed(value, namespace, path)
            case "enum":
                return self._enum(value, namespace, path)
            case str() if word in PRIMITIVES:
                return Primitive(word, logical(word, value, self._policy))
            case str():
                return self._reference(word, namespace)
            case None:
                raise _refusal(Code.SCHEMA_ATTRIBUTE_MISSING, path)
        raise _refusal(Code.SCHEMA_TYPE_UNKNOWN, path)

    def _define(self, value: dict[str, Any], namespace: str, path: Path) -> str:
        name = full_name(value, namespace, self._policy)
        if name in self._names:
            raise _refusal(Code.SCHEMA_NAME_REDEFINED, path)
        self._names[name] = None
        return name

    def _fixed(self, value: dict[str, Any], namespace: str, path: Path) -> Fixed:
        name = self._define(value, namespace, path)
        size = _demand(value, "size", path)
        if type(size) is not int or size < 0:
            raise _refusal(Code.SCHEMA_ATTRIBUTE_INVALID, path)
        check = logical("fixed", value, self._policy, size=size)
        fixed = Fixed(name, size, check, type_aliases(value, name, self._policy))
        self._names[name] = fixed
        return fixed

    def _enum(self, value: dict[str, Any], namespace: str, path: Path) -> Enum:
        name = self._define(value, namespace, path)
        _demand(value, "symbols", path)
        symbols = tuple(simple_name(symbol, self._policy) for symbol in listed(value, "symbols"))
        if len(set(symbols)) != len(symbols):
            raise _refusal(Code.SCHEMA_SYMBOL_DUPLICATE, path)
        if "default" in value and value["default"] not in symbols:
            raise _refusal(Code.SCHEMA_DEFAULT_INVALID, path)
        enum = Enum(name, symbols, value.get("default"), type_aliases(value, name, self._policy))
        self._names[name] = enum
        return enum

    def _record(self, value: dict[str, Any], namespace: str, path: Path, depth: int) -> Record:
        name = self._define(value, namespace, path)
        _demand(value, "fields", path)
        inside = name.rpartition(".")[0]
        fields = tuple(self._field(field, inside, path, depth) for field in listed(value, "fields"))
        if len({field.name for field in fields}) != len(fields):
            raise _refusal(Code.SCHEMA_FIELD_DUPLICATE, path)
        record = Record(name, fields, value["type"], type_aliases(value, name, self._policy))
        self._names[name] = record
        return record

    def _field(self, value: Any, namespace: str, path: Path, depth: int) -> Field:  # noqa: ANN401 - from JSON
        if not isinstance(value, dict) or value.get("order", "ascending") not in _ORDERS:
            raise _refusal(Code.SCHEMA_ATTRIBUTE_INVALID, path)
        name = simple_name(_demand(value, "name", path), self._policy)
        here = (*path, name)
        type_ = self.type(_demand(value, "type", here), namespace, here, depth + 1)
        if "default" in value:
            self.promises.append(Promise(here, type_, value["default"]))
        return Field(name, type_, "default" in value, field_aliases(value, self._policy))


_BELOW: Final = {"array": "items", "map": "values"}


def _kind(type_: Type) -> str:
    """What may stand only once in a union; named types go by their names."""
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


def _demand(value: dict[str, Any], key: str, path: Path) -> Any:  # noqa: ANN401 - from JSON
    if key not in value:
        raise _refusal(Code.SCHEMA_ATTRIBUTE_MISSING, path)
    return value[key]


def _refusal(code: Code, path: Path) -> RefusedError:
    return RefusedError(Finding(code, path=".".join(path) or None))
