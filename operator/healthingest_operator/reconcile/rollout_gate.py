"""
The rollout gate: whether the workload may be rolled out.

The first rollout waits until every dependency is ready. A later outage changes conditions and stops
nothing: uploads do not need broker and cache, and running pods must be able to move to another
node.
"""

from collections.abc import Iterable

from healthingest_operator.status.conditions import DEPENDENCIES, ConditionUpdate


def dependencies_hold(updates: Iterable[ConditionUpdate]) -> bool:
    """Whether the conditions of all dependencies are True."""
    holding = {update.type for update in updates if update.is_true}
    return holding >= set(DEPENDENCIES)


def may_roll_out(updates: Iterable[ConditionUpdate], wanted: str, rolled_out: str | None) -> bool:
    """Whether a workload with fingerprint *wanted* may run; *rolled_out* passed the gate before."""
    return dependencies_hold(updates) or wanted == rolled_out
