"""Which key comes next."""

import asyncio
from dataclasses import dataclass

import pytest

from healthingest_operator.reconcile.queue import KeyedQueue, Lane


@dataclass
class Ticks:
    """A monotonic clock that stands still until told."""

    seconds: float = 0.0


@pytest.fixture(name="ticks")
def _ticks() -> Ticks:
    return Ticks()


@pytest.fixture(name="queue")
def _queue(ticks: Ticks) -> KeyedQueue[str]:
    return KeyedQueue(lambda: ticks.seconds)


async def is_empty(queue: KeyedQueue[str]) -> bool:
    """Whether nothing is due now."""
    try:
        async with asyncio.timeout(0.01):
            await queue.take()
    except TimeoutError:
        return True
    return False


async def test_changes_go_before_children_and_resyncs(queue: KeyedQueue[str]) -> None:
    """A thousand regular looks do not delay a change."""
    queue.enqueue("resync", Lane.RESYNC)
    queue.enqueue("child", Lane.CHILD)
    queue.enqueue("change", Lane.CHANGE)
    assert [(await queue.take())[0] for _ in range(3)] == ["change", "child", "resync"]


async def test_a_key_is_queued_once(queue: KeyedQueue[str]) -> None:
    """Many are one reconciliation, in the best lane."""
    for lane in (Lane.RESYNC, Lane.CHANGE, Lane.CHILD):
        queue.enqueue("a", lane)
    assert len(queue) == 1
    assert await queue.take() == ("a", Lane.CHANGE)
    assert await is_empty(queue)


async def test_a_key_is_worked_on_by_one_at_a_time(queue: KeyedQueue[str]) -> None:
    """Poked meanwhile it comes again, but only when it was given back."""
    queue.enqueue("a", Lane.CHANGE)
    await queue.take()
    queue.enqueue("a", Lane.CHILD)
    assert await is_empty(queue)
    queue.done("a")
    assert await queue.take() == ("a", Lane.CHILD)


async def test_an_earlier_appointment_stays(queue: KeyedQueue[str], ticks: Ticks) -> None:
    """A later one does not put it off, an earlier one brings it forward."""
    queue.enqueue("a", Lane.RESYNC, 10)
    queue.enqueue("a", Lane.RESYNC, 300)
    ticks.seconds = 10
    assert (await queue.take())[0] == "a"
    queue.done("a")
    queue.enqueue("a", Lane.RESYNC, 300)
    queue.enqueue("a", Lane.CHANGE)
    assert (await queue.take())[0] == "a"
    queue.done("a")
    ticks.seconds = 1000
    assert await is_empty(queue)


async def test_who_waits_is_woken(queue: KeyedQueue[str]) -> None:
    """A worker that sleeps for a later key takes one that comes in between."""
    queue.enqueue("later", Lane.RESYNC, 3600)
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.enqueue("now", Lane.CHANGE)
    assert (await waiting)[0] == "now"


async def test_what_is_forgotten_does_not_come(queue: KeyedQueue[str]) -> None:
    """A deleted HealthIngest leaves no appointment."""
    queue.enqueue("a", Lane.RESYNC)
    queue.forget("a")
    assert len(queue) == 0
    assert await is_empty(queue)


async def test_a_deletion_takes_its_key_alone(queue: KeyedQueue[str]) -> None:
    """
    It waits for who works on the key, not for the line.

    Meanwhile nobody gets the key, and no key is lost.
    """
    queue.enqueue("a", Lane.CHANGE)
    await queue.take()
    order: list[str] = []

    async def delete() -> None:
        async with queue.alone("a"):
            order.append("deletion")
            queue.enqueue("a", Lane.CHILD)
            assert await is_empty(queue)

    deletion = asyncio.create_task(delete())
    await asyncio.sleep(0)
    queue.enqueue("a", Lane.CHANGE)
    order.append("pass")
    queue.done("a")
    await deletion
    assert order == ["pass", "deletion"]
    assert (await queue.take())[0] == "a"


async def test_lanes_are_counted(queue: KeyedQueue[str]) -> None:
    """Each for itself, for the metrics."""
    queue.enqueue("a", Lane.CHANGE)
    queue.enqueue("b", Lane.RESYNC)
    queue.enqueue("c", Lane.RESYNC)
    assert [queue.depth(lane) for lane in Lane] == [1, 0, 2]


async def test_all_keys_can_be_poked(queue: KeyedQueue[str]) -> None:
    """Those that wait for later, and one that is worked on: it comes again."""
    queue.enqueue("a", Lane.CHANGE)
    await queue.take()
    queue.enqueue("b", Lane.RESYNC, 300)
    queue.enqueue_all(Lane.CHILD)
    assert await queue.take() == ("b", Lane.CHILD)
    queue.done("a")
    assert await queue.take() == ("a", Lane.CHILD)


async def test_resyncs_yield_to_a_change_that_is_worked_on(queue: KeyedQueue[str]) -> None:
    """
    One goes on beside it, so that a change which takes for ever stops nobody.

    The others wait until it is done.
    """
    queue.enqueue("change", Lane.CHANGE)
    for name in ("a", "b", "c"):
        queue.enqueue(name, Lane.RESYNC)
    assert [(await queue.take())[0] for _ in range(2)] == ["change", "a"]
    assert await is_empty(queue)
    queue.enqueue("child", Lane.CHILD)
    assert (await queue.take())[0] == "child"
    queue.done("a")
    assert (await queue.take())[0] == "b"
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done("change")
    assert (await waiting)[0] == "c"


@pytest.mark.parametrize("turns", range(4))
async def test_who_is_cancelled_when_a_key_comes_takes_none(
    queue: KeyedQueue[str], turns: int
) -> None:
    """The end of a term is not lost: a worker that missed it would reconcile without the lease."""
    queue.enqueue("later", Lane.RESYNC, 3600)
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(0)
    queue.enqueue("a", Lane.CHANGE)
    for _ in range(turns):  # the key reaches the worker by turns of the loop
        await asyncio.sleep(0)
    has_waited = waiting.cancel()
    (taken,) = await asyncio.gather(waiting, return_exceptions=True)
    assert isinstance(taken, asyncio.CancelledError) == has_waited
    assert len(queue) == has_waited
