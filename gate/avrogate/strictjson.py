"""JSON as RFC 8259 has it, and no more: keys once, no NaN, bounded depth. Nothing of the text is in an error."""

import json
import re
from typing import Any, Final, NoReturn

from avrogate.verdict import Code, Finding, RefusedError

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)
"""Possessive: each character is looked at once, however the strings are broken."""


def parse(text: str, *, max_depth: int) -> Any:  # noqa: ANN401 - JSON can be anything
    """
    The value of *text*.

    Raises:
        RefusedError: SCHEMA_NOT_JSON, SCHEMA_DUPLICATE_KEY or SCHEMA_TOO_DEEP.
    """
    _bound_depth(text, max_depth)
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except (ValueError, RecursionError):  # the first also for numbers of more than 4,300 digits
        raise RefusedError(Finding(Code.SCHEMA_NOT_JSON)) from None


def _bound_depth(text: str, max_depth: int) -> None:
    """Before `json` recurses."""
    depth = 0
    for token in _TOKEN.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > max_depth:
                raise RefusedError(Finding(Code.SCHEMA_TOO_DEEP))
        elif first in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise RefusedError(Finding(Code.SCHEMA_DUPLICATE_KEY))
    return value


def _constant(_: str) -> NoReturn:
    raise RefusedError(Finding(Code.SCHEMA_NOT_JSON))
