"""Validates names and resolves them in their namespace: Avro specification 1.12, "Names"."""

import re
from typing import Any, Final

from avrogate.model import PRIMITIVES
from avrogate.place import Step
from avrogate.policy import Policy
from avrogate.results import Cause, Code

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")

_NONE: Final[frozenset[str]] = frozenset()


class NameRefusedError(Exception):
    """
    A name is invalid. The error does not contain its text.

    `steps` lead to the name from the JSON object that was examined.
    """

    def __init__(self, code: Code, *steps: Step, cause: Cause | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.steps = steps
        self.cause = cause


def simple_name(value: Any, policy: Policy, *steps: Step) -> str:  # noqa: ANN401 - from JSON
    """Return the name of a field or symbol at *steps*; raises `NameRefusedError`."""
    return _checked(value, _NAME, policy, *steps)


def full_name(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    """
    Return the full name of the type that *attributes* define in namespace *enclosing*.

    Raises `NameRefusedError`.
    """
    if "name" not in attributes:
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_MISSING)
    name = _checked(attributes["name"], _FULL_NAME, policy, "name")
    if "." not in name:
        name = qualified(name, _namespace(attributes, enclosing, policy))
    if name.rpartition(".")[2] in PRIMITIVES:
        raise NameRefusedError(Code.SCHEMA_NAME_INVALID, "name")
    return name


def own_name(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str | None:
    """Return what `full_name` returns, or None if the name is invalid."""
    try:
        return full_name(attributes, enclosing, policy)
    except NameRefusedError:
        return None


def first_name(attributes: dict[str, Any], policy: Policy) -> str | None:
    """Return the first valid field or symbol name of the type that *attributes* define."""
    for key in ("fields", "symbols"):
        parts = attributes.get(key)
        for part in parts if isinstance(parts, list) else ():
            name = part.get("name") if isinstance(part, dict) else part
            if is_name(name, policy):
                return str(name)
    return None


def is_name(value: Any, policy: Policy) -> bool:  # noqa: ANN401 - from JSON
    """Whether *value* may be the name of a field or symbol."""
    return (
        isinstance(value, str)
        and len(value) <= policy.max_name_characters
        and _NAME.fullmatch(value) is not None
    )


def type_aliases(attributes: dict[str, Any], name: str, policy: Policy) -> frozenset[str]:
    """
    Return the aliases of the type *name* as full names; they are relative to its namespace.

    Invalid names are omitted, as in `field_aliases`.
    """
    if "aliases" not in attributes:
        return _NONE
    namespace = name.rpartition(".")[0]
    names = [alias for alias in _aliases(attributes, policy) if _FULL_NAME.fullmatch(alias)]
    return frozenset(alias if "." in alias else qualified(alias, namespace) for alias in names)


def field_aliases(attributes: dict[str, Any], policy: Policy) -> frozenset[str]:
    """Return the aliases of a field. Invalid names are omitted, because no field can match them."""
    if "aliases" not in attributes:
        return _NONE
    return frozenset(alias for alias in _aliases(attributes, policy) if _NAME.fullmatch(alias))


def listed(attributes: dict[str, Any], key: str) -> list[Any]:
    """Return the array under *key*, or an empty list if there is no such key."""
    value = attributes.get(key, [])
    if not isinstance(value, list):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, key)
    return value


def qualified(name: str, namespace: str) -> str:
    """Return the full name of *name* in *namespace*; "" is the null namespace."""
    return f"{namespace}.{name}" if namespace else name


def _aliases(attributes: dict[str, Any], policy: Policy) -> list[str]:
    aliases = listed(attributes, "aliases")
    for number, alias in enumerate(aliases):
        if not isinstance(alias, str):
            raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, "aliases", number)
    return [alias for alias in aliases if len(alias) <= policy.max_name_characters]


def _namespace(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    value = attributes.get("namespace", enclosing)
    if value in (None, ""):  # some writers write null for the null namespace
        return ""
    return _checked(value, _FULL_NAME, policy, "namespace")


# ANN401: from JSON
def _checked(value: Any, pattern: re.Pattern[str], policy: Policy, *steps: Step) -> str:  # noqa: ANN401
    if not isinstance(value, str):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, *steps)
    if len(value) > policy.max_name_characters:
        raise NameRefusedError(Code.SCHEMA_NAME_TOO_LONG, *steps)
    if pattern.fullmatch(value) is None:
        raise NameRefusedError(Code.SCHEMA_NAME_INVALID, *steps)
    return value
