"""
What can be wrong outside the operator, in one table.

Where it shows, how it is said, and the remedy.

A message is made of the template here and of names that the manifest or the cluster already shows
(addresses without a login, names of objects): never of text that another program wrote.
`docs/reference/runbook.md` has the table, a test compares.
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
    One kind of fault.

    `code` is stable. `broken` says what is broken. `message` and `remedy`, which says what to do,
    are templates of `str.format` with named values; the condition's message is both. `conditions`
    are those in which it can stand.
    """

    code: str
    conditions: tuple[ConditionType, ...]
    reason: Reason
    broken: str
    message: str
    remedy: str

    def text(self, **values: object) -> str:
        """The condition's message; what could break a line or a table is taken out of *values*."""
        return f"{self.message}: {self.remedy}".format(
            **{name: _plain(value) for name, value in values.items()}
        )


def _plain(value: object) -> str:
    return UNSAFE.sub("", str(value))[:_VALUE_CHARACTERS]


def as_table(causes: Iterable[Cause]) -> str:
    """The table of the runbook, in Markdown."""
    lines = [
        "| broken | condition | reason | message | remedy |",
        "| --- | --- | --- | --- | --- |",
    ]
    for cause in causes:
        where = ", ".join(f"`{kind.value}`" for kind in cause.conditions)
        cells = (cause.broken, where, f"`{cause.reason.value}`", cause.message, cause.remedy)
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return "\n".join(lines) + "\n"
