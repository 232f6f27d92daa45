"""
May the workload be rolled out, and may its pods serve?

Both wait for every dependency once. After that an outage degrades conditions but stops neither: an
upload's promise holds without broker and cache, and pods that already ran must come back when a
node dies meanwhile.
"""

from collections.abc import Iterable

from healthingest_operator.status.conditions import DEPENDENCIES, ConditionUpdate


def dependencies_hold(updates: Iterable[ConditionUpdate]) -> bool:
    """Whether every dependency was looked at, and holds."""
    holding = {update.type for update in updates if update.is_true}
    return holding >= set(DEPENDENCIES)


def may_roll_out(updates: Iterable[ConditionUpdate], wanted: str, rolled_out: str | None) -> bool:
    """Whether a workload with fingerprint *wanted* may run; *rolled_out* passed the gate before."""
    return dependencies_hold(updates) or wanted == rolled_out
