"""
Resources on the broker that the operator made and the spec no longer names.

The operator made a queue if one of its policies applies to it. Between its exchanges and queues
every binding that is not in the spec is removed. A queue is removed in two reconciliations, so that
no message is lost in between: first its bindings, then, if it is empty, the queue itself. Its
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
    What to remove.

    `policies` names the queues of the policies. `queues` are to be removed if they are empty;
    `full` stay, because they hold messages.
    """

    bindings: tuple[BindingKey, ...] = ()
    policies: tuple[str, ...] = ()
    queues: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


def superfluous(wanted: Topology, observed: Observed) -> Superfluous:
    """Return everything that is not wanted and may be removed now."""
    names = {queue.name for queue in wanted.broker.queues}
    names |= {dead_letter_queue(name) for name in names}
    marked = {
        name.removeprefix(POLICY_PREFIX)
        for name in observed.policies
        if name.startswith(POLICY_PREFIX)
    }
    unwanted = sorted(name for name in marked - names if not _waits_for_its_queue(name, observed))
    live = [name for name in unwanted if name in observed.queues]
    bound = {queue for _, queue, _ in observed.bindings}
    full = tuple(name for name in live if observed.queues[name].get("messages", 0) > 0)
    # An unknown count does not count as zero.
    empty = [
        name for name in live if observed.queues[name].get("messages") == 0 and name not in bound
    ]
    return Superfluous(
        bindings=tuple(_bindings(wanted, observed, {*names, *live})),
        policies=tuple(name for name in unwanted if name not in observed.queues),
        queues=tuple(empty),
        full=full,
    )


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
