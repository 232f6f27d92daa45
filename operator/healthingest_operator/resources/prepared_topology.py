"""
A virtual host that others have prepared: its required and its missing resources.

An ordinary user cannot set policies. A queue that the operator creates over AMQP therefore has its
limits as arguments, which are fixed from then on.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from healthingest_contract.topology import dead_letter_exchange, dead_letter_queue
from healthingest_operator.api.v1alpha1 import BrokerSpec
from healthingest_operator.resources.topology import (
    Kind,
    Resource,
    dead_queue_definition,
    queue_definition,
    wanted_bindings,
)


@dataclass(frozen=True, slots=True)
class PreparedHost:
    """
    The content of a virtual host, as an ordinary user sees it; the values are titles.

    `absent` resources do not exist, and the user may not create them. `unchecked` bindings may
    exist: AMQP can create a binding but not query it, and the user may not create it.
    """

    created: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    may_publish: bool = True


def declarations(broker: BrokerSpec) -> tuple[Resource, ...]:
    """Return the resources of the spec, in an order in which each can be created."""
    dead = dead_letter_exchange(broker.exchange)
    queues = [
        _queue(name, arguments)
        for queue in broker.queues
        for name, arguments in (
            (dead_letter_queue(queue.name), dead_queue_definition(queue)),
            (queue.name, queue_definition(broker, queue)),
        )
    ]
    bindings = [
        Resource(
            Kind.BINDING,
            queue,
            f"binding of queue {queue} to {pattern}",
            {"source": source, "routing_key": pattern},
        )
        for source, queue, pattern in wanted_bindings(broker)
    ]
    return (_exchange(broker.exchange, "topic"), _exchange(dead, "direct"), *queues, *bindings)


def lacking(broker: BrokerSpec, host: PreparedHost) -> tuple[str, ...]:
    """
    Return the titles of absent resources that are necessary.

    Dead-letter resources of a queue that others have created are not necessary.
    """
    dead_exchange = _exchange_title(dead_letter_exchange(broker.exchange))
    optional = {dead_exchange}
    for queue in broker.queues:
        if _queue_title(queue.name) in host.absent:
            optional.discard(dead_exchange)
        else:
            optional.add(_queue_title(dead_letter_queue(queue.name)))
    return tuple(title for title in host.absent if title not in optional)


def _exchange(name: str, kind: str) -> Resource:
    return Resource(Kind.EXCHANGE, name, _exchange_title(name), {"type": kind, "durable": True})


def _queue(name: str, limits: Mapping[str, object]) -> Resource:
    arguments = {"x-queue-type": "quorum", **{f"x-{key}": limits[key] for key in limits}}
    return Resource(Kind.QUEUE, name, _queue_title(name), {"durable": True, "arguments": arguments})


def _exchange_title(name: str) -> str:
    return f"exchange {name}"


def _queue_title(name: str) -> str:
    return f"queue {name}"
