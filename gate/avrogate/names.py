"""
Names, Avro specification 1.12, "Names".

Of what they are made, and what they mean where they stand.
"""

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
    A name is not one; its text is not repeated.

    `steps` lead to it from the object that was looked at.
    """

    def __init__(self, code: Code, *steps: Step, cause: Cause | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.steps = steps
        self.cause = cause


def simple_name(value: Any, policy: Policy, *steps: Step) -> str:  # noqa: ANN401 - from JSON
    """The name of a field or symbol, which stands at *steps*; raises `NameRefusedError`."""
    return _checked(value, _NAME, policy, *steps)


def full_name(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    """
    The full name of the type that *attributes* define in namespace *enclosing*.

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
    """The full name as `full_name` has it, None where that is wrong."""
    try:
        return full_name(attributes, enclosing, policy)
    except NameRefusedError:
        return None


def first_name(attributes: dict[str, Any], policy: Policy) -> str | None:
    """The first valid name of a field or symbol of the type that *attributes* define."""
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
    Aliases of the type *name*, as full names: they are relative to its namespace.

    As `field_aliases`.
    """
    if "aliases" not in attributes:
        return _NONE
    namespace = name.rpartition(".")[0]
    names = [alias for alias in _aliases(attributes, policy) if _FULL_NAME.fullmatch(alias)]
    return frozenset(alias if "." in alias else qualified(alias, namespace) for alias in names)


def field_aliases(attributes: dict[str, Any], policy: Policy) -> frozenset[str]:
    """Aliases of a field. One that is no name can match none, and is left out: it harms nobody."""
    if "aliases" not in attributes:
        return _NONE
    return frozenset(alias for alias in _aliases(attributes, policy) if _NAME.fullmatch(alias))


def listed(attributes: dict[str, Any], key: str) -> list[Any]:
    """The array under *key*, or none."""
    value = attributes.get(key, [])
    if not isinstance(value, list):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, key)
    return value


def qualified(name: str, namespace: str) -> str:
    """*name* in *namespace*; "" is the null namespace."""
    return f"{namespace}.{name}" if namespace else name


def _aliases(attributes: dict[str, Any], policy: Policy) -> list[str]:
    aliases = listed(attributes, "aliases")
    for number, alias in enumerate(aliases):
        if not isinstance(alias, str):
            raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, "aliases", number)
    return [alias for alias in aliases if len(alias) <= policy.max_name_characters]


def _namespace(attributes: dict[str, Any], enclosing: str, policy: Policy) -> str:
    value = attributes.get("namespace", enclosing)
    if value in (None, ""):  # null is what some writers say for the null namespace
        return ""
    return _checked(value, _FULL_NAME, policy, "namespace")


def _checked(value: Any, pattern: re.Pattern[str], policy: Policy, *steps: Step) -> str:  # noqa: ANN401 - from JSON
    if not isinstance(value, str):
        raise NameRefusedError(Code.SCHEMA_ATTRIBUTE_INVALID, *steps)
    if len(value) > policy.max_name_characters:
        raise NameRefusedError(Code.SCHEMA_NAME_TOO_LONG, *steps)
    if pattern.fullmatch(value) is None:
        raise NameRefusedError(Code.SCHEMA_NAME_INVALID, *steps)
    return value
