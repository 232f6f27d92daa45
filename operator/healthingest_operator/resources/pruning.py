"""
What the broker has of us that the spec no longer names.

A queue is ours when a policy of ours is about it. Between our exchanges and our queues the spec is
the whole truth: any other binding goes. A queue goes in two looks, so that nothing can be lost in
between: first its bindings, and when it was seen without any, the queue itself, if it is empty. Its
dead-letter queue follows once it is gone.
"""

from dataclasses import dataclass

from healthingest_contract.topology import dead_letter_exchange, dead_letter_queue
from healthingest_operator.resources.topology import (
    POLICY_PREFIX,
    Call,
    Observed,
    Topology,
    wanted_bindings,
)


@dataclass(frozen=True, slots=True)
class Superfluous:
    """Calls to make, queues to remove once empty, and queues that stay for their messages."""

    calls: tuple[Call, ...] = ()
    queues: tuple[str, ...] = ()
    full: tuple[str, ...] = ()


def superfluous(wanted: Topology, observed: Observed) -> Superfluous:
    """Everything of ours that is not wanted, as far as it may go now."""
    names = {queue.name for queue in wanted.broker.queues}
    names |= {dead_letter_queue(name) for name in names}
    marked = {
        name.removeprefix(POLICY_PREFIX)
        for name in observed.policies
        if name.startswith(POLICY_PREFIX)
    }
    spare = sorted(name for name in marked - names if not _waits_for_its_queue(name, observed))
    live = [name for name in spare if name in observed.queues]
    calls = [*_bindings(wanted, observed, {*names, *live})]
    calls += [
        Call(
            "DELETE",
            ("policies", wanted.virtual_host, f"{POLICY_PREFIX}{name}"),
            {},
            f"policy of queue {name}",
        )
        for name in spare
        if name not in observed.queues
    ]
    bound = {queue for _, queue, _ in observed.bindings}
    full = tuple(name for name in live if observed.queues[name].get("messages", 0) > 0)
    # A count that the broker does not know yet is not zero.
    empty = [
        name for name in live if observed.queues[name].get("messages") == 0 and name not in bound
    ]
    return Superfluous(tuple(calls), tuple(empty), full)


def _waits_for_its_queue(name: str, observed: Observed) -> bool:
    """Whether this is the dead-letter queue of one that is still there."""
    return any(dead_letter_queue(other) == name for other in observed.queues)


def _bindings(wanted: Topology, observed: Observed, ours: set[str]) -> list[Call]:
    exchange = wanted.broker.exchange
    sources, kept = {exchange, dead_letter_exchange(exchange)}, set(wanted_bindings(wanted.broker))
    return [
        Call(
            "DELETE",
            ("bindings", wanted.virtual_host, "e", source, "q", queue, key),
            {},
            f"binding of queue {queue}",
        )
        for (source, queue, pattern), keys in sorted(observed.bindings.items())
        if source in sources and queue in ours and (source, queue, pattern) not in kept
        for key in keys
    ]
