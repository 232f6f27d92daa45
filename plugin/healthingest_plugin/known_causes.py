"""
Finds the row of the operator's table of causes that a condition's message was made from.

The table is the operator's own (`healthingest_operator.status`), so no text is copied here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.outside_causes import CAUSES

RUNBOOK: Final = "docs/reference/runbook.md"
_WITH_REMEDY: Final = frozenset(
    {
        Reason.SECRET_NOT_FOUND,
        Reason.SECRET_KEY_MISSING,
        Reason.RESOURCE_CONFLICT,
        Reason.WAITING_FOR_DEPENDENCIES,
    }
)
"""Reasons whose other messages also end with a colon and the remedy."""


@dataclass(frozen=True, slots=True)
class KnownCause:
    """Message and remedy apart; `code` is that of the table, empty without a row of it."""

    code: str
    message: str
    remedy: str
    values: Mapping[str, str]


def known_cause(condition: str, reason: str, text: str) -> KnownCause:
    """Return the cause that *text*, the message of *condition*, was made from."""
    for cause in _candidates(condition, reason):
        found = _pattern(cause).search(text)
        if found is not None:
            values = found.groupdict()
            start = found.start("remedy_")
            return KnownCause(
                cause.code,
                text[:start].removesuffix(": "),
                text[start:],
                {name: value for name, value in values.items() if name != "remedy_"},
            )
    message, colon, remedy = text.rpartition(": ")
    if colon and reason in {other.value for other in _WITH_REMEDY}:
        return KnownCause("", message, remedy, {})
    return KnownCause("", text, f"see section {reason} of {RUNBOOK}", {})


def _candidates(condition: str, reason: str) -> list[Cause]:
    """
    Rows of this reason, those of this condition first, the most specific message first.

    A pod's own report about the database stands in `WorkloadAvailable`.
    """
    rows = [cause for cause in CAUSES if cause.reason.value == reason]
    first = {condition, ConditionType.DATABASE_READY.value}
    return sorted(
        (row for row in rows if first & {kind.value for kind in row.conditions}),
        key=lambda row: (
            condition not in {kind.value for kind in row.conditions},
            -_literal_characters(row),
        ),
    )


def _literal_characters(cause: Cause) -> int:
    return sum(len(text) for text, *_ in Formatter().parse(cause.message))


@cache
def _pattern(cause: Cause) -> re.Pattern[str]:
    """Match `message: remedy` at the end of a text; a value may be any text."""
    names: set[str] = set()
    message = _expression(cause.message, names)
    remedy = _expression(cause.remedy, names)
    return re.compile(f"{message}: (?P<remedy_>{remedy})$", re.DOTALL)


def _expression(template: str, names: set[str]) -> str:
    parts = []
    for text, name, *_ in Formatter().parse(template):
        parts.append(re.escape(text))
        if name is None:
            continue
        parts.append(f"(?P={name})" if name in names else f"(?P<{name}>.*?)")
        names.add(name)
    return "".join(parts)
