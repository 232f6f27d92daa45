"""Workers of the queue, and when a key is enqueued again."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.outcome import Outcome, ReconcileMode
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.reconcile.records import Record, Records

FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0
PROGRESS_SECONDS: Final = (3.0, 6.0)
"""
Seconds until the next reconciliation during a rollout.

Watches report the progress of a rollout, but not a pod that the API server refuses: only an event
reports it, and events are not watched. A condition must report the refusal within ten seconds.
"""


class ReconcileObserver(Protocol):
    """Receives the end of every reconciliation, for logs and metrics."""

    def completed(self, key: Key, outcome: str, seconds: float) -> None:
        """Report a reconciliation that ended with *outcome*."""

    def failed(self, key: Key, error: Exception, seconds: float) -> None:
        """
        Report a reconciliation that raised *error*.

        The text of *error* may contain secrets: only its type may be logged.
        """


@dataclass(frozen=True, slots=True)
class RequeuePolicy:
    """When to reconcile again; `random` returns 0 to 1 and spreads many HealthIngests over time."""

    resync_seconds: float
    """Seconds between full reconciliations."""
    external_check_seconds: float = 45.0
    """Maximum seconds between external checks; no watch reports external changes."""
    random: Callable[[], float] = random.random

    def after(self, outcome: Outcome, failures: int) -> float | None:
        """
        Return the seconds until the next reconciliation; None: never.

        *failures* is the number of failures in a row before this outcome.
        """
        if outcome is Outcome.GONE:
            return None
        if outcome is Outcome.FAILING:
            return self.backoff(failures)
        if outcome is Outcome.PROGRESSING:
            low, high = PROGRESS_SECONDS
            return low + (high - low) * self.random()
        if outcome in {Outcome.READY, Outcome.UNCHANGED}:
            return self.external_check_seconds * (4 + self.random()) / 5
        return self.resync()

    def resync(self) -> float:
        """Return the seconds until the next full reconciliation."""
        return self.resync_seconds * (0.8 + 0.4 * self.random())

    def backoff(self, failures: int) -> float:
        """
        Return the seconds until a retry.

        They double from 1 to 30, and the second half of them is random.
        """
        longest: float = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10))
        return longest * (0.5 + 0.5 * self.random())


class Loop:
    """Reconciles the keys of one queue; `run` is one worker."""

    def __init__(
        self,
        queue: KeyedQueue[Key],
        work: Callable[[Key, ReconcileMode], Awaitable[Outcome]],
        requeue_policy: RequeuePolicy,
        observer: ReconcileObserver,
        records: Records,
    ) -> None:
        self._queue = queue
        self._work = work
        self._requeue_policy = requeue_policy
        self._observer = observer
        self._records = records

    async def run(self) -> None:
        """Reconcile keys until cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Take one key, reconcile it, and enqueue it again."""
        key, lane = await self._queue.take()
        record = self._records.of(key)
        if lane is Lane.CHANGE:
            record.failures = 0
        began = time.monotonic()
        may_check = lane is Lane.RESYNC and began < record.full_until
        mode = ReconcileMode.EXTERNAL_CHECK if may_check else ReconcileMode.FULL
        delay: float | None
        try:
            outcome = await self._work(key, mode)
        # BLE001: an error in one HealthIngest must not stop the others
        except Exception as error:  # noqa: BLE001
            self._observer.failed(key, error, time.monotonic() - began)
            self._update(record, mode, Outcome.FAILING)
            delay = self._requeue_policy.backoff(record.failures - 1)
        else:
            self._observer.completed(key, outcome.value, time.monotonic() - began)
            self._update(record, mode, outcome)
            delay = self._requeue_policy.after(outcome, record.failures - 1)
            if outcome is Outcome.GONE:
                self._records.forget(key)
        finally:
            self._queue.done(key)
        if delay is not None:
            self._queue.enqueue(key, Lane.RESYNC, delay)

    def _update(self, record: Record, mode: ReconcileMode, outcome: Outcome) -> None:
        """Count failures; permit external checks for a while after a full one that was Ready."""
        record.failures = record.failures + 1 if outcome is Outcome.FAILING else 0
        if outcome not in {Outcome.READY, Outcome.UNCHANGED}:
            record.full_until = float("-inf")
        elif mode is ReconcileMode.FULL:
            record.full_until = time.monotonic() + self._requeue_policy.resync()
