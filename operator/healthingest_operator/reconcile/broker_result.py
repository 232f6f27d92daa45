"""The result of reconciling the broker, with an administrator or with an ordinary user."""

from dataclasses import dataclass

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.status.conditions import ConditionUpdate, condition_false


@dataclass(frozen=True, slots=True)
class BrokerResult:
    """
    The conditions of broker and topology, and the changes on the broker.

    `left_behind` names queues that the spec no longer has, but that hold messages. `unused_users`
    are broker users of the operator that no Secret names.
    """

    updates: tuple[ConditionUpdate, ...]
    changed: tuple[str, ...] = ()
    left_behind: tuple[str, ...] = ()
    unused_users: tuple[str, ...] = ()


def broker_not_ready(error: DependencyError) -> BrokerResult:
    """Return the result for a broker that cannot be used; the topology waits for the broker."""
    waiting = condition_false(
        ConditionType.TOPOLOGY_READY, Reason.WAITING_FOR_DEPENDENCIES, "waits for the broker"
    )
    return BrokerResult(
        (condition_false(ConditionType.BROKER_READY, error.reason, error.message), waiting)
    )
