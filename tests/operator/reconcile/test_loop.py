"""When a key comes again."""

import itertools
import time
from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.loop import (
    LONGEST_RETRY_SECONDS,
    Loop,
    ReconcileObserver,
    RequeuePolicy,
)
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.reconcile.records import Records

KEY = Key("a", "b")
SOONEST = RequeuePolicy(300, 45, lambda: 0.0)
LATEST = RequeuePolicy(300, 45, lambda: 1.0)


@dataclass
class Notes(ReconcileObserver):
    """What was told."""

    outcomes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    @override
    def completed(self, key: Key, outcome: str, seconds: float) -> None:
        del key, seconds
        self.outcomes.append(outcome)

    @override
    def failed(self, key: Key, error: Exception, seconds: float) -> None:
        del key, seconds
        self.errors.append(type(error).__name__)


@pytest.mark.parametrize("failures", range(12))
def test_a_failing_one_is_tried_again_within_thirty_seconds(failures: int) -> None:
    """The wait doubles and is bounded; the first is within a second."""
    waits = [
        requeue_policy.after(Outcome.FAILING, failures) for requeue_policy in (SOONEST, LATEST)
    ]
    assert all(
        wait is not None and 0 < wait <= min(LONGEST_RETRY_SECONDS, 2**failures) for wait in waits
    )


def test_a_ready_resource_has_an_external_check_every_half_minute() -> None:
    """
    Of broker, bucket and Secrets no watch tells.

    A full reconciliation comes about every five minutes.
    """
    assert SOONEST.after(Outcome.READY, 0) == 36
    assert LATEST.after(Outcome.READY, 0) == pytest.approx(45)
    assert SOONEST.resync() == 240
    assert LATEST.resync() == pytest.approx(360)


async def test_external_checks_follow_a_full_reconciliation() -> None:
    """A change, an error and a part that does not hold each ask for a complete one again."""
    ticks = itertools.count(step=1000)
    queue: KeyedQueue[Key] = KeyedQueue(lambda: next(ticks))
    outcomes = [
        Outcome.READY,
        Outcome.READY,
        Outcome.FAILING,
        Outcome.READY,
        Outcome.READY,
        Outcome.READY,
    ]
    modes: list[ReconcileMode] = []

    async def work(_: Key, mode: ReconcileMode) -> Outcome:
        modes.append(mode)
        return outcomes[len(modes) - 1]

    loop = Loop(queue, work, SOONEST, Notes(), Records())
    queue.enqueue(KEY, Lane.CHANGE)
    for _ in range(5):
        await loop.step()
    queue.enqueue(KEY, Lane.CHILD)
    await loop.step()
    full = ReconcileMode.FULL
    check = ReconcileMode.EXTERNAL_CHECK
    assert modes == [full, check, check, full, check, full]


async def test_a_deleted_healthingest_is_forgotten() -> None:
    """It is not enqueued again, and no record of it stays."""
    queue: KeyedQueue[Key] = KeyedQueue(time.monotonic)
    records = Records()

    async def work(_: Key, __: ReconcileMode) -> Outcome:
        return Outcome.GONE

    queue.enqueue(KEY, Lane.CHANGE)
    await Loop(queue, work, SOONEST, Notes(), records).step()
    assert len(records) == 0
    assert RequeuePolicy(300).after(Outcome.GONE, 0) is None


async def test_a_broken_pass_stops_nobody() -> None:
    """An unforeseen error is reported, the key is enqueued again, and the worker continues."""
    notes = Notes()
    records = Records()
    queue: KeyedQueue[Key] = KeyedQueue(lambda: time.monotonic() * 100)
    outcomes: list[Exception | Outcome] = [ZeroDivisionError(), Outcome.READY]

    async def work(_: Key, __: ReconcileMode) -> Outcome:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    loop = Loop(queue, work, RequeuePolicy(300, 45, lambda: 0.0), notes, records)
    queue.enqueue(KEY, Lane.CHANGE)
    await loop.step()
    assert records.of(KEY).failures == 1
    await loop.step()
    assert records.of(KEY).failures == 0
    assert notes.errors == ["ZeroDivisionError"]
    assert notes.outcomes == ["ready"]
