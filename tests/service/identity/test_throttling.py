from dataclasses import dataclass, field

import pytest

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.fallback_limiter import FallbackLimiter, SharedCounters
from healthingest_service.identity.throttling import (
    PARTS,
    Backoff,
    Charge,
    Decision,
    Rate,
    Rule,
    Unit,
    spending,
)


@dataclass
class Shared:
    """A limiter that can be gone."""

    gone: bool = False
    asked: list[Rule] = field(default_factory=list)

    async def count(self, *charges: Charge) -> list[Decision]:
        """Allowed, unless gone."""
        self.asked += [charge.rule for charge in charges]
        if self.gone:
            raise LimiterUnavailableError
        return [
            Decision(charge.rule, allowed=True, remaining=1, reset_seconds=1) for charge in charges
        ]


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10/minute", Rate(10, 60)), (" 1 / day ", Rate(1, 86_400)), ("100/hour", Rate(100, 3600))],
)
def test_reads_a_rate(text: str, rate: Rate) -> None:
    """A number, a slash, a unit."""
    assert Rate.parse(text) == rate


@pytest.mark.parametrize(
    "text", ["", "10", "0/minute", "-1/minute", "10/week", "1e3/hour", "10/minutes"]
)
def test_refuses_what_is_no_rate(text: str) -> None:
    """Everything else."""
    with pytest.raises(ValueError, match="10/minute"):
        Rate.parse(text)


def test_a_process_alone_allows_less_guessing() -> None:
    """A tenth for rules of guessing, never less than one; the full rate for the others."""
    assert Rule("uploads", Rate(10, 60)).alone().rate.amount == 10
    assert Rule("logins", Rate(50, 60), 10).alone().rate.amount == 5
    assert Rule("logins", Rate(3, 60), 10).alone().rate.amount == 1


async def test_counts_alone_while_the_shared_counters_are_gone() -> None:
    """
    A failure is no error; the shared ones are left alone for a while, then asked again.

    Each is told.
    """
    now = 0.0
    degraded = list[str]()
    shared = Shared(gone=True)
    alone = Shared()
    counters = SharedCounters(clock=lambda: now, pause_seconds=5, on_degraded=degraded.append)
    limiter = FallbackLimiter(counters, shared, alone)
    rule = Rule("logins", Rate(50, 60), 10)
    other = Rule("uploads", Rate(9, 60))
    for _ in range(3):
        await limiter.count(Charge(rule, "key"), Charge(other, "key"))
    assert (len(shared.asked), [one.rate.amount for one in alone.asked]) == (2, [5, 9] * 3)
    assert degraded == ["logins", "uploads"] * 3
    now = 5.0
    shared.gone = False
    assert [one.rule for one in await limiter.count(Charge(rule, "key"))] == [rule]
    assert len(alone.asked) == 6


def test_says_when_to_come_again() -> None:
    """Whole seconds, rounded up, at least one."""
    rule = Rule("uploads", Rate(1, 60))
    assert [
        Decision(rule, allowed, 0, seconds).retry_after_seconds
        for allowed, seconds in ((False, 0.0), (False, 1.2), (False, 60.0))
    ] == [1, 2, 60]


@pytest.mark.parametrize(
    ("amount", "allowed", "remaining", "part"),
    [(0, True, 40, 10), (40, True, 0, 10), (41, False, 40, 10), (71, False, 40, 12)],
)
def test_says_when_an_amount_remains(
    amount: int, *, allowed: bool, remaining: int, part: int
) -> None:
    """As soon as enough parts have left the window, each with its last byte."""
    rule = Rule("bytes", Rate(100, PARTS), unit=Unit.BYTES)
    decision = spending(rule, {10: 30, 12: 30}, amount, now_seconds=20.5)
    assert (decision.allowed, decision.remaining) == (allowed, remaining)
    assert decision.reset_seconds == part + PARTS + 1 - 20.5


def test_a_delay_doubles_up_to_its_bound() -> None:
    """
    Free failures cost nothing.

    After them a second, two, four, and never more than five, however many there were.
    """
    backoff = Backoff(free_failures=3, first_delay_seconds=1.0, max_delay_seconds=5.0)
    assert [backoff.delay_seconds(failures) for failures in range(8)] == [0, 0, 0, 1, 2, 4, 5, 5]
    assert backoff.delay_seconds(10**9) == 5
    assert backoff.alone().free_failures == 1
