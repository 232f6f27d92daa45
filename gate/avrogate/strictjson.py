"""
Parses strict JSON (RFC 8259): unique keys, no NaN, limited depth.

Errors contain no text of the JSON.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NoReturn

from avrogate.results import Code, Finding, RefusedError

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""Possessive, so that each character is read once, even in broken strings."""
_COMMENT: Final = re.compile(r'("(?:[^"\\]|\\.)*+"?)|//[^\n]*+|/\*.*?(?:\*/|\Z)', re.DOTALL)

Steps = tuple[str | int, ...]


class DuplicateKeyError(Exception):
    """
    An object has a key twice.

    `value` is all of the JSON, `steps` lead to the object, `key` is the key.
    """

    # ANN401: JSON can be anything
    def __init__(self, value: Any, steps: Steps, key: str) -> None:  # noqa: ANN401
        super().__init__(Code.SCHEMA_DUPLICATE_KEY)
        self.value = value
        self.steps = steps
        self.key = key


def parse(text: str, *, max_depth: int) -> Any:  # noqa: ANN401 - JSON can be anything
    """
    Return the value of *text*.

    Raises:
        RefusedError: SCHEMA_NOT_JSON or SCHEMA_TOO_DEEP.
        DuplicateKeyError: an object has a key twice.
    """
    _bound_depth(text, max_depth)
    repeated: list[_Repeated] = []

    def make(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) == len(pairs):
            return value
        repeated.append(_Repeated(value))
        repeated[-1].key = _first_repeated(pairs)
        return repeated[-1]

    try:
        value = json.loads(text, object_pairs_hook=make, parse_constant=_constant)
    except (ValueError, RecursionError):  # ValueError also for numbers of more than 4,300 digits
        raise RefusedError(Finding(Code.SCHEMA_NOT_JSON)) from None
    if repeated:
        steps, found = next(_repeated_in(value))
        raise DuplicateKeyError(value, steps, found.key)
    return value


def without_comments(text: str) -> str:
    """Return *text* with comments (`//`, `/* */`), which Java's Avro accepts, as spaces."""
    return _COMMENT.sub(lambda match: match[1] or re.sub(r"[^\n]", " ", match[0]), text)


def line_of(text: str) -> int | None:
    """Return the number of the first invalid line of *text*, from 1, or None if it is unknown."""
    try:
        json.loads(text)
    except json.JSONDecodeError as error:
        return error.lineno
    except (ValueError, RecursionError):
        pass
    return None


class _Repeated(dict[str, Any]):
    """An object that had a key twice."""

    key: str


def _first_repeated(pairs: list[tuple[str, Any]]) -> str:
    seen: set[str] = set()
    return next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]


# ANN401: JSON can be anything
def _repeated_in(value: Any) -> Iterator[tuple[Steps, _Repeated]]:  # noqa: ANN401
    """Yield the objects with repeated keys in the order of the text; the depth is limited."""
    waiting: list[tuple[Steps, Any]] = [((), value)]
    while waiting:
        steps, item = waiting.pop()
        if isinstance(item, _Repeated):
            yield steps, item
        below = (
            item.items()
            if isinstance(item, dict)
            else enumerate(item)
            if isinstance(item, list)
            else ()
        )
        waiting.extend(((*steps, key), part) for key, part in reversed(list(below)))


def _bound_depth(text: str, max_depth: int) -> None:
    """Refuse a text that is nested too deep, before `json` recurses."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > max_depth:
                raise RefusedError(Finding(Code.SCHEMA_TOO_DEEP))
        elif first in "]}":
            depth -= 1


def _constant(_: str) -> NoReturn:
    raise RefusedError(Finding(Code.SCHEMA_NOT_JSON))
