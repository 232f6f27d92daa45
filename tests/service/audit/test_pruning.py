"""Old events are removed, and what stays can be verified."""

import asyncio
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from healthingest_service.audit import anchor_pruning
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.model import Action, AuditEvent, Link, Outcome
from healthingest_service.audit.pruning import PruneEvents, prune_event
from healthingest_service.audit.recorder import email_salt_name
from healthingest_service.audit.verification import Fault, FaultKind, VerifyChain
from support.audit import MemoryAnchors, MemoryAudit, MemorySalts, event
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, Clock

RETENTION = timedelta(days=40)


class Log:
    """An audit log in memory, its chain and its pruning."""

    def __init__(self) -> None:
        self.audit = MemoryAudit()
        self.anchors = MemoryAnchors()
        self.salts = MemorySalts()
        self.clock = Clock()
        self.chaining = ChainEvents(
            self.audit, self.anchors, clock=self.clock, interval_seconds=1, anchor_seconds=0
        )
        self.pruning = self.pruning_of(self.audit)
        self.verify = VerifyChain(self.audit, self.anchors, clock=self.clock)

    def pruning_of(self, audit: MemoryAudit) -> PruneEvents:
        """Return the use case for *audit*."""
        return PruneEvents(
            audit,
            self.anchors,
            salts=self.salts,
            retention=RETENTION,
            clock=self.clock,
            interval_seconds=1,
        )

    async def record(self, *days: int) -> None:
        """Record and chain events of so many days ago."""
        for number, age in enumerate(days):
            await self.audit.record(event(number, at=NOON - timedelta(days=age)))
        await self.chaining.chain_all()
        await self.chaining.anchor_if_due()

    async def record_daily(self, *days: int) -> None:
        """Record, chain and anchor an event on each of the days so long ago."""
        for age in days:
            self.clock.now = NOON - timedelta(days=age)
            await self.record(age)
        self.clock.now = NOON

    @property
    def anchored(self) -> list[int]:
        """The positions of all anchors."""
        return sorted(anchor.position for anchor in self.anchors.written)


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
            await log.pruning.prune_anchors()
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


async def test_removes_anchors_before_the_start() -> None:
    """The anchor of the start stays, and all after it; the chain stays verifiable."""
    log = Log()
    await log.record_daily(60, 55, 50, 45, 10, 0)
    assert await log.pruning.prune_all() == 4
    assert log.anchored == [1, 2, 3, 4, 4, 5, 6]
    done = await log.pruning.prune_anchors()
    assert (done.removed, done.kept) == (3, 0)
    assert log.anchored == [4, 4, 5, 6]
    await log.chaining.chain_all()
    verified = await log.verify()
    assert (verified.is_intact, verified.pruned_events, verified.anchors) == (True, 4, 4)


async def test_a_locked_anchor_stays() -> None:
    """It is counted, and the others go; when the lock has ended, it goes too."""
    log = Log()
    await log.record_daily(60, 55, 50, 45, 0)
    await log.pruning.prune_all()
    log.anchors.locked = {2}
    done = await log.pruning.prune_anchors()
    assert (done.removed, done.kept) == (2, 1)
    assert log.anchored == [2, 4, 4, 5]
    log.anchors.locked = set()
    assert (await log.pruning.prune_anchors()).removed == 1


async def test_refusals_end_a_round(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that has locked everything is asked for a few anchors only."""
    monkeypatch.setattr(anchor_pruning, "MAX_KEPT", 2)
    log = Log()
    await log.record_daily(60, 55, 50, 45, 0)
    await log.pruning.prune_all()
    log.anchors.locked = {1, 2, 3}
    assert (await log.pruning.prune_anchors()).kept == 2


async def test_anchors_of_events_that_went_too_early_stay() -> None:
    """Somebody removes young events, with an event that says so: their anchors are evidence."""
    log = Log()
    await log.record_daily(60, 30, 20, 0)
    await log.audit.prune(log.audit.links[3], prune_event(log.audit.links[3], NOON))
    assert (await log.pruning.prune_anchors()).removed == 1
    assert log.anchored == [2, 3, 4]


async def test_without_a_start_all_anchors_stay() -> None:
    """The beginning of the chain is missing, and no event says that it was removed by age."""
    log = Log()
    await log.record_daily(60, 55, 50, 0)
    del log.audit.events[1], log.audit.events[2], log.audit.links[1]
    assert (await log.pruning.prune_anchors()).removed == 0
    assert log.anchored == [1, 2, 3, 4]


async def test_salts_of_old_addresses_go() -> None:
    """Those of subjects, and of days that are not old enough, stay."""
    log = Log()
    for age in (41, 40, 0):
        await log.salts.salt(email_salt_name(NOON - timedelta(days=age)))
    await log.salts.salt("subject/1")
    assert await log.pruning.prune_salts() == 1
    assert len(log.salts.salts) == 3


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
    pruning = log.pruning_of(audit)
    async with asyncio.timeout(HANG_SECONDS):
        await pruning.run(stop)
    assert 1 not in audit.events
