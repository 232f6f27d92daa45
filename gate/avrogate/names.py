"""Names, Avro specification 1.12, "Names": of what they are made, and what they mean where they stand."""

import re
from typing import Any, Final

from avrogate.model import PRIMITIVES
from avrogate.policy import Policy
from avrogate.verdict import Code

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class NameRefusedError(Exception):
    """A name is not one; its text is not repeated."""

    def __init__(self, code: Code) -> None:
        super().__init__(code)
        self.code = code


def simple_name(value: Any, policy: Policy) -> str:  # noqa: ANN401 - from JSON
    """The name of a field or symbol; raises `NameRefusedError`."""
    return _checked(value, _NAME, policy)


def full_name(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    """The full name of the type that *attributes* define in namespace *enclosing*; raises `NameRefusedError`."""
    if "name" not in attributes:
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_MISSING)
    name = _checked(attributes["name"], _FULL_NAME, policy)
    if "." not in name:
        name = qualified(name, _namespace(attributes, enclosing, policy))
    if name.rpartition(".")[2] in PRIMITIVES:
        raise NameRefusedError(Code.SCHEMA_NAME_INVALID)
    return name


def type_aliases(attributes: dict[str, Any], name: str, policy: Policy) -> frozenset[str]:
    """Aliases of the type *name*, as full names: they are relative to its namespace."""
    namespace = name.rpartition(".")[0]
    names = [_checked(alias, _FULL_NAME, policy) for alias in listed(attributes, "aliases")]
    return frozenset(alias if "." in alias else qualified(alias, namespace) for alias in names)


def field_aliases(attributes: dict[str, Any], policy: Policy) -> frozenset[str]:
    """Aliases of a field."""
    return frozenset(simple_name(alias, policy) for alias in listed(attributes, "aliases"))


def listed(attributes: dict[str, Any], key: str) -> list[Any]:
    """The array under *key*, or none."""
    value = attributes.get(key, [])
    if not isinstance(value, list):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID)
    return value


def qualified(name: str, namespace: str) -> str:
    """*name* in *namespace*; "" is the null namespace."""
    return f"{namespace}.{name}" if namespace else name


def _namespace(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    value = attributes.get("namespace", enclosing)
    if value in (None, ""):  # null is what some writers say for the null namespace
        return ""
    return _checked(value, _FULL_NAME, policy)


def _checked(value: Any, pattern: re.Pattern[str], policy: Policy) -> str:  # noqa: ANN401 - from JSON
    if not isinstance(value, str):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID)
    if len(value) > policy.max_name_characters:
        raise NameRefusedError(Code.SCHEMA_NAME_TOO_LONG)
    if pattern.fullmatch(value) is None:
        raise NameRefusedError(Code.SCHEMA_NAME_INVALID)
    return value
