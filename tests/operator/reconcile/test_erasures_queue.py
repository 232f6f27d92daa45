"""The queue that announces erasures, in a reconciliation."""

from collections.abc import Mapping

from healthingest_contract.topology import ALL_ERASURES_BINDING, ERASURES_QUEUE
from healthingest_operator.resources.secrets import decode
from support.operator_fakes import KEY, OperatorFakes

BOUND = ("health_data_exchange", ERASURES_QUEUE, ALL_ERASURES_BINDING)
QUEUES = ("processing", "erasures")


def broker(*queues: Mapping[str, object]) -> dict[str, object]:
    """Return `spec.broker` with these queues."""
    return {
        "adminSecretRef": {"name": "rabbitmq"},
        "virtualHost": "clinic",
        "queues": list(queues),
    }


async def test_erasures_have_a_queue_by_default() -> None:
    """It gets the erasures and no uploads, with policies equal to those of the uploads' queue."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    things = fakes.broker.things
    assert [entry for entry in fakes.broker.bindings if entry[1] == ERASURES_QUEUE] == [BOUND]
    made = [things["queues", "clinic", queue] for queue in QUEUES]
    assert made[0] == made[1]
    policies = [
        {**things["policies", "clinic", f"healthingest-{queue}"]["definition"]} for queue in QUEUES
    ]
    assert [policy.pop("dead-letter-routing-key") for policy in policies] == list(QUEUES)
    assert policies[0] == policies[1]


async def test_consumers_may_read_the_erasures() -> None:
    """The queue and its dead-letter queue; the Secret names the queue."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    rights = fakes.broker.things["permissions", "clinic", "clinic.consumer"]
    assert rights["read"] == r"^(processing|processing\.dead|erasures|erasures\.dead)$"
    consumer = decode(fakes.cluster.get("Secret", f"{KEY.name}-consumer"))
    assert consumer["queues"] == "processing,erasures"


async def test_a_lost_queue_and_binding_of_erasures_heal() -> None:
    """Both are named as drift."""
    fakes = OperatorFakes()
    await fakes.until_ready()
    fakes.broker.things.pop(("queues", "clinic", ERASURES_QUEUE))
    fakes.broker.bindings.remove(BOUND)
    await fakes.reconcile()
    assert ("queues", "clinic", ERASURES_QUEUE) in fakes.broker.things
    assert BOUND in fakes.broker.bindings
    drifted = fakes.conditions()["Drifted"][2]
    assert "queue erasures was missing" in drifted
    assert "binding of queue erasures was missing" in drifted


async def test_the_queue_of_erasures_can_have_another_name() -> None:
    """The list of the spec replaces the default one."""
    renamed = {"name": "removals", "bindings": [ALL_ERASURES_BINDING]}
    fakes = OperatorFakes(broker=broker({"name": "processing"}, renamed))
    await fakes.until_ready()
    assert ("health_data_exchange", "removals", ALL_ERASURES_BINDING) in fakes.broker.bindings
    assert ("queues", "clinic", ERASURES_QUEUE) not in fakes.broker.things


async def test_the_queue_of_erasures_can_be_left_out() -> None:
    """Without it in the list nothing is bound to erasures."""
    fakes = OperatorFakes(broker=broker({"name": "processing"}))
    await fakes.until_ready()
    assert not [entry for entry in fakes.broker.bindings if entry[2] == ALL_ERASURES_BINDING]
