"""What a prepared virtual host needs."""

import pytest

from healthingest_operator.api.v1alpha1 import QueueSpec
from healthingest_operator.resources.prepared_topology import PreparedHost, declarations, lacking
from healthingest_operator.resources.topology import Kind
from support.operator_fakes import broker_spec

SPEC = broker_spec("clinic", QueueSpec(name="a", delivery_limit=3), QueueSpec(name="b"))


def test_the_exchange_comes_first() -> None:
    """The port checks permission to publish to the first resource."""
    first = declarations(SPEC)[0]
    assert (first.kind, first.name, first.values["type"]) == (Kind.EXCHANGE, "exchange", "topic")


def test_a_queue_has_its_limits_as_arguments() -> None:
    """Those that a policy sets where the operator is an administrator."""
    queues = {one.name: one.values for one in declarations(SPEC) if one.kind is Kind.QUEUE}
    assert queues["a"]["arguments"] == {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": "exchange.dead",
        "x-dead-letter-routing-key": "a",
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 3,
        "x-max-length-bytes": 4 * 2**30,
    }
    assert "x-dead-letter-exchange" not in queues["a.dead"]["arguments"]


@pytest.mark.parametrize(
    ("absent", "missing"),
    [
        ((), ()),
        (("exchange exchange",), ("exchange exchange",)),
        (("exchange exchange.dead", "queue a.dead", "queue b.dead"), ()),
        (
            ("exchange exchange.dead", "queue a.dead", "queue b.dead", "queue b"),
            ("exchange exchange.dead", "queue b.dead", "queue b"),
        ),
    ],
)
def test_dead_letters_of_a_queue_of_others_are_their_concern(
    absent: tuple[str, ...], missing: tuple[str, ...]
) -> None:
    """Only a queue that is missing itself needs its dead-letter exchange and queue."""
    assert lacking(SPEC, PreparedHost(absent=absent)) == missing
