"""
Broker resources that the operator created and the spec no longer names.

The operator created a queue if one of its policies applies to it. Every binding between its
exchanges and queues that is not in the spec is removed. A queue is removed in two reconciliations,
so that no message is lost: first its bindings, then, if it is empty, the queue itself. Its
dead-letter queue follows when the queue no longer exists.
"""

from dataclasses import dataclass

from healthingest_contract.topology import dead_letter_exchange, dead_letter_queue
from healthingest_operator.resources.topology import (
    POLICY_PREFIX,
    BindingKey,
    Observed,
    Topology,
    wanted_bindings,
)


@dataclass(frozen=True, slots=True)
class Superfluous:
    """
    The resources to remove.

    `policies` names the queues of the policies. `queues` are removed if they are empty; `full` are
    kept, because they hold messages.
    """

    bindings: tuple[BindingKey, ...] = ()
    policies: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


def superfluous(wanted: Topology, observed: Observed) -> Superfluous:
    """Return everything that is not wanted and may be removed now."""
    wanted_queues = _wanted_queues(wanted)
    unwanted = _unwanted_queues(wanted_queues, observed)
    live = [name for name in unwanted if name in observed.queues]
    return Superfluous(
        bindings=tuple(_bindings(wanted, observed, {*wanted_queues, *live})),
        policies=tuple(name for name in unwanted if name not in observed.queues),
        queues=tuple(name for name in live if _is_unused(name, observed)),
        full=tuple(name for name in live if observed.queues[name].get("messages", 0) > 0),
    )


def _wanted_queues(wanted: Topology) -> set[str]:
    """Return the queues of the spec and their dead-letter queues."""
    names = {queue.name for queue in wanted.broker.queues}
    return names | {dead_letter_queue(name) for name in names}


def _unwanted_queues(wanted_queues: set[str], observed: Observed) -> list[str]:
    """Return the queues that have a policy of the operator and that the spec does not name."""
    own = {
        name.removeprefix(POLICY_PREFIX)
        for name in observed.policies
        if name.startswith(POLICY_PREFIX)
    }
    return sorted(name for name in own - wanted_queues if not _waits_for_its_queue(name, observed))


def _is_unused(name: str, observed: Observed) -> bool:
    """Whether a queue is empty and has no binding; an unknown count is not zero."""
    is_bound = any(queue == name for _, queue, _ in observed.bindings)
    return observed.queues[name].get("messages") == 0 and not is_bound


def _waits_for_its_queue(name: str, observed: Observed) -> bool:
    """Whether this is the dead-letter queue of an existing queue."""
    return any(dead_letter_queue(other) == name for other in observed.queues)


def _bindings(wanted: Topology, observed: Observed, ours: set[str]) -> list[BindingKey]:
    exchange = wanted.broker.exchange
    sources = {exchange, dead_letter_exchange(exchange)}
    kept = set(wanted_bindings(wanted.broker))
    return [
        BindingKey(source, queue, key)
        for (source, queue, pattern), keys in sorted(observed.bindings.items())
        if source in sources and queue in ours and (source, queue, pattern) not in kept
        for key in keys
    ]
