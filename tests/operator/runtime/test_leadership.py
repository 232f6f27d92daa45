"""Nobody but the leader comes to the outside, and one that has lost stands again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
import structlog
from prometheus_client import CollectorRegistry
from typing_extensions import override

from healthingest_operator.reconcile.leader_election import DEFAULT_TIMES, Election, Lease, Leases
from healthingest_operator.runtime.leadership import Term, TermOverError, fenced, lead
from healthingest_operator.telemetry.metrics import Telemetry
from support.deadlines import HANG_SECONDS


class NotTheLeaderError(Exception):
    """What the fence does here, where the process must go on."""


@dataclass
class Outside:
    """A port of the operator's."""

    writes: list[str] = field(default_factory=list)

    async def write(self, what: str, *, times: int = 1) -> int:
        """Note it."""
        self.writes += [what] * times
        return len(self.writes)


async def test_the_leader_passes() -> None:
    """With arguments and answer."""
    asked: list[bool] = []
    outside = Outside()
    port = fenced(outside, lambda: asked.append(True))
    assert await port.write("a", times=2) == 2
    assert await port.write("b") == 3
    assert outside.writes == ["a", "a", "b"]
    assert len(asked) == 2


async def test_who_leads_no_more_does_not_write() -> None:
    """The question comes before the call, each time."""

    def refuse() -> None:
        raise NotTheLeaderError

    outside = Outside()
    with pytest.raises(NotTheLeaderError):
        await fenced(outside, refuse).write("a")
    assert outside.writes == []


def test_a_term_that_was_lost_does_not_begin_again() -> None:
    """What is left over from it is refused, although the same process leads again."""
    leads = [True, False, True]
    term = Term(lambda: leads.pop(0))
    term.check()
    with pytest.raises(TermOverError):
        term.check()
    with pytest.raises(TermOverError):
        term.check()
    assert term.over.is_set()


def test_a_lost_term_is_no_failure() -> None:
    """No handler of errors on the way takes it for one and tries again."""
    assert not issubclass(TermOverError, Exception)


@dataclass
class OneLease(Leases):
    """A Lease that is always there, and whoever asks gets it."""

    lease: Lease | None = None
    versions: int = 0
    broken: bool = False

    @override
    async def read(self) -> Lease | None:
        if self.broken:
            raise ZeroDivisionError
        return self.lease

    @override
    async def take(self, before: Lease | None, holder: str) -> Lease | None:
        if self.lease != before:
            return None
        self.versions += 1
        self.lease = Lease(holder, str(self.versions))
        return self.lease


@dataclass
class Process:
    """An operator on a clock that the test moves; what it served is kept."""

    lease: OneLease = field(default_factory=OneLease)
    now: float = 0.0
    terms: list[Term] = field(default_factory=list)
    served: asyncio.Event = field(default_factory=asyncio.Event)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    tick: asyncio.Event = field(default_factory=asyncio.Event)
    outside: Outside = field(default_factory=Outside)
    telemetry: Telemetry = field(
        default_factory=lambda: Telemetry(CollectorRegistry(), structlog.stdlib.get_logger("test"))
    )

    async def sleep(self, _: float) -> None:
        """Until the test says so."""
        self.tick.clear()
        await self.tick.wait()

    async def serve(self, term: Term) -> None:
        """Until the term is over."""
        self.terms.append(term)
        self.served.set()
        await term.over.wait()

    async def term(self, number: int) -> Term:
        """The term of this number, once it is served."""
        async with asyncio.timeout(HANG_SECONDS):
            while len(self.terms) < number:
                self.served.clear()
                await self.served.wait()
        return self.terms[number - 1]

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        """The process, until the end of the test."""
        election = Election(self.lease, "a", lambda: self.now, self.sleep)
        running = asyncio.create_task(lead(election, self.telemetry, self.serve, self.stop))
        try:
            yield running
        finally:
            running.cancel()
            await asyncio.wait({running})


async def test_a_frozen_leader_steps_down_and_leads_again_in_the_same_process() -> None:
    """It writes nothing as what it was, and the process does not end."""
    process = Process()
    async with process.running() as running:
        first = await process.term(1)
        port = fenced(process.outside, first.check)
        await port.write("as the leader")
        process.now += DEFAULT_TIMES.renew_deadline + 0.1
        with pytest.raises(TermOverError):
            await port.write("too late")
        second = await process.term(2)
        await fenced(process.outside, second.check).write("as the leader again")
        with pytest.raises(TermOverError):
            await port.write("left over")
        assert not running.done()
    assert process.outside.writes == ["as the leader", "as the leader again"]


async def test_who_was_overtaken_waits_in_the_same_process() -> None:
    """Its gauge says that it does not lead."""
    process = Process()
    async with process.running() as running:
        first = await process.term(1)
        process.lease.lease = Lease("b", "99")
        process.tick.set()
        async with asyncio.timeout(HANG_SECONDS):
            await first.over.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert first.lost
        assert process.telemetry.leads._value.get() == 0
        assert not running.done()
        assert len(process.terms) == 1


async def test_what_nobody_foresaw_of_the_lease_ends_the_term_and_the_process() -> None:
    """Whoever does not renew must not go on as if it led."""
    process = Process()
    async with process.running() as running:
        first = await process.term(1)
        process.lease.broken = True
        process.tick.set()
        async with asyncio.timeout(HANG_SECONDS):
            with pytest.raises(ZeroDivisionError):
                await running
        assert first.lost


@pytest.mark.parametrize("overtaken", [False, True])
async def test_a_signal_ends_it_whatever_it_does(*, overtaken: bool) -> None:
    """While it leads, and while it waits; the Lease is given back by its holder alone."""
    process = Process()
    if overtaken:
        process.lease.lease = Lease("b", "99")
    async with process.running() as running:
        if not overtaken:
            await process.term(1)
        process.stop.set()
        async with asyncio.timeout(HANG_SECONDS):
            await running
    assert process.lease.lease is not None
    assert process.lease.lease.holder == ("b" if overtaken else "")
