"""
The type of a cause: a known failure outside the operator, with its condition, message and remedy.

A message consists of the template and of values that the manifest or the cluster already shows,
such as names of objects and addresses without a login. It never has text of another program.
`docs/reference/runbook.md` has the table of all causes, and a test compares it with the code.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason

UNSAFE: Final = re.compile(r"[^\w .:/@=,<>'\"()\[\]%+*-]")
_VALUE_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class Cause:
    """
    A known failure.

    `code` is stable. `broken` names the failure in the runbook. `message` and `remedy` are
    templates of `str.format` with named values; together they are the condition's message.
    `conditions` are the types of the conditions that can report it.
    """

    code: str
    conditions: tuple[ConditionType, ...]
    reason: Reason
    broken: str
    message: str
    remedy: str

    def text(self, **values: object) -> str:
        """Return the condition's message; *values* lose characters that could break a table."""
        return f"{self.message}: {self.remedy}".format(
            **{name: _plain(value) for name, value in values.items()}
        )


def _plain(value: object) -> str:
    return UNSAFE.sub("", str(value))[:_VALUE_CHARACTERS]


def as_table(causes: Iterable[Cause]) -> str:
    """Return the table for the runbook, in Markdown."""
    lines = [
        "| broken | condition | reason | message | remedy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cause in causes:
        where = ", ".join(f"`{kind.value}`" for kind in cause.conditions)
        cells = (cause.broken, where, f"`{cause.reason.value}`", cause.message, cause.remedy)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"
