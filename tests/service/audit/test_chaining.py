import asyncio

import pytest

from healthingest_service.audit.chaining import BATCH, LATE_SECONDS, RECENT, ChainEvents, Floor
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Anchor
from support.audit import MemoryAnchors, MemoryAudit, event
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, Clock


def chainer(
    audit: MemoryAudit,
    anchors: MemoryAnchors,
    *,
    anchor_seconds: float = 0.0,
    look_back_seconds: float = 0.0,
) -> ChainEvents:
    """Return the use case, in a hurry."""
    return ChainEvents(
        audit,
        anchors,
        clock=Clock(),
        interval_seconds=0.01,
        anchor_seconds=anchor_seconds,
        look_back_seconds=look_back_seconds,
    )


async def test_chains_more_than_one_batch() -> None:
    """All that is visible, in one go."""
    audit = MemoryAudit()
    for number in range(BATCH + 1):
        await audit.record(event(number))
    assert await chainer(audit, MemoryAnchors()).chain_all() == BATCH + 1
    assert len(audit.links) == BATCH + 1


async def test_an_event_that_becomes_visible_late_is_chained() -> None:
    """A transaction that took a number early commits after others: no event is left out."""
    audit = MemoryAudit()
    for number in (1, 2, 3):
        await audit.record(event(number))
    hidden = audit.events.pop(2)
    chaining = chainer(audit, MemoryAnchors())
    assert await chaining.chain_all() == 2
    audit.events[2] = hidden
    assert await chaining.chain_all() == 1
    assert [link.number for link in audit.links.values()] == [1, 3, 2]


@pytest.mark.parametrize(("look_back_seconds", "found"), [(0.0, 1), (3600.0, 0)])
async def test_an_event_far_below_the_head_waits_until_it_looks_back(
    look_back_seconds: float, found: int
) -> None:
    """So the database reads few events in each interval, whatever the load was before."""
    audit = MemoryAudit(events={RECENT + 2: event(RECENT + 2)})
    chaining = chainer(audit, MemoryAnchors(), look_back_seconds=look_back_seconds)
    assert await chaining.chain_all() == 1
    audit.events[1] = event(1)
    assert await chaining.chain_all() == found


async def test_looks_back_again_after_a_full_batch() -> None:
    """More events may be far below the head than it takes at once."""
    audit = MemoryAudit(events={RECENT + BATCH + 9: event()})
    assert await chainer(audit, MemoryAnchors()).chain_all() == 1
    audit.events |= {number: event(number) for number in range(1, BATCH + 5)}
    chaining = chainer(audit, MemoryAnchors(), look_back_seconds=3600.0)
    assert await chaining.chain_all() == BATCH + 4


def test_the_floor_rises_when_no_event_can_come_below_it() -> None:
    """Ten minutes after an event was chained, and not before."""
    floor = Floor()
    floor.note(5, at_seconds=0.0)
    floor.note(9, at_seconds=1.0)
    assert floor.number == 0
    floor.note(10, at_seconds=LATE_SECONDS)
    assert floor.number == 5
    floor.note(11, at_seconds=LATE_SECONDS + 1)
    assert floor.number == 9


async def test_anchors_the_head_when_it_has_moved() -> None:
    """Once, whatever often it is called; again after another event."""
    audit, anchors = MemoryAudit(), MemoryAnchors()
    chaining = chainer(audit, anchors)
    await chaining.anchor_if_due()
    assert anchors.written == []
    for number in (1, 2):
        await audit.record(event(number))
        await chaining.chain_all()
        await chaining.anchor_if_due()
        await chaining.anchor_if_due()
    links = audit.links
    assert anchors.written == [Anchor(n, links[n].hash, NOON) for n in (1, 2)]


async def test_anchors_no_more_often_than_it_should() -> None:
    """The head moves, but the last anchor is young."""
    audit, anchors = MemoryAudit(), MemoryAnchors()
    chaining = chainer(audit, anchors, anchor_seconds=3600)
    for number in (1, 2):
        await audit.record(event(number))
        await chaining.chain_all()
        await chaining.anchor_if_due()
    assert len(anchors.written) == 1


class DownOnce(MemoryAnchors):
    """A store of anchors that fails once."""

    def __init__(self) -> None:
        super().__init__()
        self.is_down = True
        self.is_written = asyncio.Event()

    async def write(self, anchor: Anchor) -> None:
        """Fail, or keep it."""
        if self.is_down:
            self.is_down = False
            raise AuditUnavailableError
        await super().write(anchor)
        self.is_written.set()


async def test_goes_on_after_a_failure() -> None:
    """The bucket is unreachable: events are chained, and anchored later."""
    audit, anchors = MemoryAudit(), DownOnce()
    await audit.record(event())
    stop = asyncio.Event()
    running = asyncio.create_task(chainer(audit, anchors).run(stop))
    async with asyncio.timeout(HANG_SECONDS):
        await anchors.is_written.wait()
    stop.set()
    await running
