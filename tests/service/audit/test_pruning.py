"""Old events are removed, and what stays can be verified."""

import asyncio
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.model import Action, AuditEvent, Link, Outcome
from healthingest_service.audit.pruning import PruneEvents, prune_event
from healthingest_service.audit.verification import Fault, FaultKind, VerifyChain
from support.audit import MemoryAnchors, MemoryAudit, event
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, Clock

RETENTION = timedelta(days=40)


class Log:
    """An audit log in memory, its chain and its pruning."""

    def __init__(self) -> None:
        self.audit = MemoryAudit()
        self.anchors = MemoryAnchors()
        self.clock = Clock()
        self.chaining = ChainEvents(
            self.audit, self.anchors, clock=self.clock, interval_seconds=1, anchor_seconds=0
        )
        self.pruning = PruneEvents(
            self.audit, self.anchors, retention=RETENTION, clock=self.clock, interval_seconds=1
        )
        self.verify = VerifyChain(self.audit, self.anchors, clock=self.clock)

    async def record(self, *days: int) -> None:
        """Record and chain events of so many days ago."""
        for number, age in enumerate(days):
            await self.audit.record(event(number, at=NOON - timedelta(days=age)))
        await self.chaining.chain_all()
        await self.chaining.anchor_if_due()


async def test_removes_the_oldest_events_only() -> None:
    """An old event behind a young one stays, so that the chain has no hole."""
    log = Log()
    await log.record(60, 50, 39, 50, 0)
    assert await log.pruning.prune_all() == 2
    await log.chaining.chain_all()
    found = await log.verify()
    assert (found.is_intact, found.events, found.pruned_events) == (True, 4, 2)
    assert {(one.position, one.hash) for one in log.anchors.written} >= {
        (2, log.audit.links[2].hash)
    }
    assert await log.pruning.prune_all() == 0


@given(st.lists(st.lists(st.integers(0, 60), max_size=4), max_size=5))
def test_each_chain_stays_verifiable(batches: list[list[int]]) -> None:
    """Also if it was pruned many times, up to its last event."""

    async def work() -> None:
        log = Log()
        for days in batches:
            await log.record(*sorted(days, reverse=True))
            await log.pruning.prune_all()
            assert (await log.verify()).is_intact
            await log.chaining.chain_all()
            assert (await log.verify()).is_intact
        assert all(
            one.action is Action.AUDIT_PRUNE or one.occurred_at > NOON - timedelta(days=61)
            for one in log.audit.events.values()
        )

    asyncio.run(work())


async def test_a_removed_beginning_needs_its_event() -> None:
    """Whoever removes the oldest events in the database only is found out."""
    log = Log()
    await log.record(60, 50, 0)
    del log.audit.events[1], log.audit.events[2], log.audit.links[1]
    assert (await log.verify()).faults == [Fault(FaultKind.START_MISSING, 2)]
    del log.audit.links[2]
    assert Fault(FaultKind.LINK_MISSING, 1) in (await log.verify()).faults


async def test_the_event_must_name_the_start() -> None:
    """Position and hash, so that an event of another removal does not excuse this one."""
    log = Log()
    await log.record(60, 50, 45, 0)
    await log.audit.record(prune_event(log.audit.links[2], NOON))
    for number in (1, 2, 3):
        del log.audit.events[number]
    for position in (1, 2):
        del log.audit.links[position]
    assert (await log.verify()).faults == [Fault(FaultKind.START_MISSING, 3)]


async def test_pruning_stops_at_a_fault() -> None:
    """So that no evidence is removed."""
    log = Log()
    await log.record(60, 50, 45, 0)
    one = log.audit.events[2]
    log.audit.events[2] = event(9, at=one.occurred_at)
    assert await log.pruning.prune_all() == 1
    assert await log.pruning.prune_all() == 0
    assert (await log.verify()).faults == [Fault(FaultKind.HASH_DIFFERS, 2)]
    assert [event_.outcome for event_ in log.audit.events.values()].count(Outcome.DONE) == 4


async def test_a_beginning_without_its_event_is_not_pruned() -> None:
    """A link whose event somebody removed is no start."""
    log = Log()
    await log.record(60, 50, 0)
    del log.audit.events[1]
    assert await log.pruning.prune_all() == 0
    assert (await log.verify()).faults == [Fault(FaultKind.START_MISSING, 1)]


async def test_runs_until_it_is_stopped() -> None:
    """The loop prunes, and ends."""
    log = Log()
    await log.record(60, 0)
    stop = asyncio.Event()

    class Stopping(MemoryAudit):
        @override
        async def prune(self, upto: Link, event: AuditEvent) -> None:
            await super().prune(upto, event)
            stop.set()

    audit = Stopping(log.audit.events, log.audit.links, 2)
    pruning = PruneEvents(
        audit, log.anchors, retention=RETENTION, clock=log.clock, interval_seconds=1
    )
    async with asyncio.timeout(HANG_SECONDS):
        await pruning.run(stop)
    assert 1 not in audit.events
