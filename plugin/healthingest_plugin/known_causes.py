"""
Finds the row of the operator's table of causes that a condition's message was made from.

The table is the operator's own (`healthingest_operator.status`), so no text is copied here.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from string import Formatter
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.status.causes import Cause
from healthingest_operator.status.outside_causes import CAUSES

RUNBOOK: Final = "docs/reference/runbook.md"
_BEFORE: Final = re.compile(r"(?:Deployment [\w.-]+: |migration of the database: )?")
"""What the operator writes before a cause that it found in pods."""
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
    """Message and remedy apart; `code` is that of the row, empty without exactly one."""

    code: str
    message: str
    remedy: str
    values: Mapping[str, str]


def known_cause(condition: str, reason: str, text: str) -> KnownCause:
    """Return the cause that *text*, the message of *condition*, was made from."""
    start = len(_BEFORE.match(text)[0])  # type: ignore[index] # it matches every text
    for cause, code in _candidates(condition, reason):
        found = _pattern(cause).fullmatch(text, start)
        if found is not None:
            values = found.groupdict()
            remedy = values.pop("remedy_")
            return KnownCause(code, text.removesuffix(f": {remedy}"), remedy, values)
    message, colon, remedy = text.rpartition(": ")
    if colon and reason in {other.value for other in _WITH_REMEDY}:
        return KnownCause("", message, remedy, {})
    return KnownCause("", text, f"see section {reason} of {RUNBOOK}", {})


def _candidates(condition: str, reason: str) -> list[tuple[Cause, str]]:
    """
    Return rows of this reason, and the code of each; the most specific message comes first.

    A pod's own report about the database stands in `WorkloadAvailable`, so rows of `DatabaseReady`
    come after those of the condition. Rows with the same texts have no code: the management API and
    the AMQP port of the broker fail to be reached with the same words.
    """
    rows = [cause for cause in CAUSES if cause.reason.value == reason]
    found: list[tuple[Cause, str]] = []
    for kind in dict.fromkeys((condition, ConditionType.DATABASE_READY.value)):
        own = [row for row in rows if kind in {other.value for other in row.conditions}]
        texts = Counter((row.message, row.remedy) for row in own)
        own.sort(key=_literal_characters, reverse=True)
        found += [(row, row.code if texts[row.message, row.remedy] == 1 else "") for row in own]
    return found


def _literal_characters(cause: Cause) -> int:
    return sum(len(text) for text, *_ in Formatter().parse(cause.message))


@cache
def _pattern(cause: Cause) -> re.Pattern[str]:
    """Match `message: remedy`; a value may be any text."""
    names: set[str] = set()
    message = _expression(cause.message, names)
    remedy = _expression(cause.remedy, names)
    return re.compile(f"{message}: (?P<remedy_>{remedy})", re.DOTALL)


def _expression(template: str, names: set[str]) -> str:
    parts = []
    for text, name, *_ in Formatter().parse(template):
        parts.append(re.escape(text))
        if name is None:
            continue
        parts.append(f"(?P={name})" if name in names else f"(?P<{name}>.*?)")
        names.add(name)
    return "".join(parts)
