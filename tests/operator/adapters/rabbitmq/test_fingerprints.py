"""Who waits for a broker's lists, and for how long they are good."""

import asyncio
from dataclasses import dataclass, field

import pytest

from healthingest_contract.conditions import Reason
from healthingest_operator.adapters.rabbitmq.fingerprints import FRESH_SECONDS, Fingerprints
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import BrokerAccess

ACCESS = BrokerAccess("http://broker", "amqp://broker", "admin", "secret")
LISTS = 9


@dataclass
class Broker:
    """
    Its lists have one virtual host, whose description is a number.

    `open` lets them be answered.
    """

    number: int = 0
    seconds: float = 0.0
    asked: int = 0
    fault: DependencyError | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)

    async def fetch(self, _: BrokerAccess, kind: str, __: str) -> bytes:
        """One list."""
        self.asked += 1
        await self.open.wait()
        if self.fault is not None:
            raise self.fault
        return b'[{"name": "a", "description": %d}]' % self.number if kind == "vhosts" else b"[]"


@pytest.fixture(name="broker")
async def _broker() -> Broker:
    broker = Broker()
    broker.open.set()
    return broker


@pytest.fixture(name="fingerprints")
def _fingerprints(broker: Broker) -> Fingerprints:
    return Fingerprints(broker.fetch, lambda: broker.seconds)


async def test_all_share_one_answer(broker: Broker, fingerprints: Fingerprints) -> None:
    """Also those who ask while the first one waits for it; later it is asked anew."""
    broker.open.clear()
    asking = [asyncio.create_task(fingerprints.of(ACCESS, "a", [])) for _ in range(3)]
    await asyncio.sleep(0)
    broker.open.set()
    first = set(await asyncio.gather(*asking))
    assert (len(first), broker.asked) == (1, LISTS)
    broker.number = 1
    broker.seconds = FRESH_SECONDS
    assert await fingerprints.of(ACCESS, "a", []) not in first
    assert broker.asked == 2 * LISTS


async def test_nobody_waits_while_another_asks_anew(
    broker: Broker, fingerprints: Fingerprints
) -> None:
    """The answer of before is good meanwhile: a busy broker takes seconds for its lists."""
    before = await fingerprints.of(ACCESS, "a", [])
    broker.open.clear()
    broker.number = 1
    broker.seconds = FRESH_SECONDS
    asking = asyncio.create_task(fingerprints.of(ACCESS, "a", []))
    await asyncio.sleep(0)
    assert await fingerprints.of(ACCESS, "a", []) == before
    broker.open.set()
    assert await asking != before


async def test_an_error_is_shared_for_a_while(broker: Broker, fingerprints: Fingerprints) -> None:
    """A broker that does not answer is not asked by a thousand in turn; then it is asked anew."""
    broker.fault = DependencyError(Reason.UNREACHABLE, "no answer")
    for _ in range(3):
        with pytest.raises(DependencyError):
            await fingerprints.of(ACCESS, "a", [])
    assert broker.asked == 1
    broker.fault = None
    broker.seconds = FRESH_SECONDS
    assert await fingerprints.of(ACCESS, "a", [])


async def test_a_slow_broker_is_asked_less_often(broker: Broker) -> None:
    """Otherwise it would do nothing but list its queues: at most a fifth of the time it does."""
    answer = broker.fetch

    async def slow(access: BrokerAccess, kind: str, query: str) -> bytes:
        broker.seconds += 2.0
        return await answer(access, kind, query)

    fingerprints = Fingerprints(slow, lambda: broker.seconds)
    await fingerprints.of(ACCESS, "a", [])
    took = broker.seconds
    for later in (FRESH_SECONDS, 5 * took - 1):
        broker.seconds = later
        await fingerprints.of(ACCESS, "a", [])
    assert broker.asked == LISTS
    broker.seconds = 5 * took
    await fingerprints.of(ACCESS, "a", [])
    assert broker.asked == 2 * LISTS
