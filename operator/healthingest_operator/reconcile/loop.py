"""Workers that take keys from the queue, and when a key comes again."""

import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from healthingest_operator.api.healthingest import Key
from healthingest_operator.reconcile.queue import KeyedQueue, Lane
from healthingest_operator.reconcile.reconcile import Outcome, ReconcileMode

FIRST_RETRY_SECONDS: Final = 1.0
LONGEST_RETRY_SECONDS: Final = 30.0
PROGRESS_SECONDS: Final = (3.0, 6.0)
"""
A rollout is followed by watches of its children. Of a pod that the API server refuses no child
tells, only an event of its Job, which is not watched: it must stand in a condition within ten
seconds.
"""


class Journal(Protocol):
    """Where a pass is told: logs and metrics."""

    def passed(self, key: Key, outcome: str, seconds: float) -> None:
        """A pass ended in this way."""

    def broke(self, key: Key, error: Exception, seconds: float) -> None:
        """
        A pass was broken off by an error.

        Its text may hold anything, so only its type may be told.
        """


@dataclass(frozen=True, slots=True)
class Rhythm:
    """When to come again. `random` gives 0 to 1: a thousand HealthIngests must not come at once."""

    resync_seconds: float
    """Between complete passes."""
    external_check_seconds: float = 45.0
    """The longest between looks at what lies outside the cluster, of which no watch tells."""
    random: Callable[[], float] = random.random

    def after(self, outcome: Outcome, failures: int) -> float | None:
        """Seconds until the next look; None: never."""
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
        """Seconds until the next complete pass."""
        return self.resync_seconds * (0.8 + 0.4 * self.random())

    def backoff(self, failures: int) -> float:
        """Doubles from one second to thirty, the last half of it by chance."""
        longest: float = min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** min(failures, 10))
        return longest * (0.5 + 0.5 * self.random())


class Loop:
    """One queue, as many workers as are started, and the count of failures of each key."""

    def __init__(
        self,
        queue: KeyedQueue[Key],
        work: Callable[[Key, ReconcileMode], Awaitable[Outcome]],
        rhythm: Rhythm,
        journal: Journal,
    ) -> None:
        self._queue = queue
        self._work = work
        self._rhythm = rhythm
        self._journal = journal
        self._failures: dict[Key, int] = {}
        self._complete_until: dict[Key, float] = {}

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self.step()

    async def step(self) -> None:
        """Take one key, look at it, arrange the next look."""
        key, lane = await self._queue.take()
        if lane is Lane.CHANGE:
            self._failures.pop(key, None)
        began = time.monotonic()
        mode = (
            ReconcileMode.EXTERNAL_CHECK
            if lane is Lane.RESYNC and began < self._complete_until.get(key, began)
            else ReconcileMode.FULL
        )
        try:
            outcome = await self._work(key, mode)
        except Exception as error:  # noqa: BLE001 - the edge of a pass: one broken HealthIngest must not stop the others
            self._journal.broke(key, error, time.monotonic() - began)
            self._complete_until.pop(key, None)
            delay: float | None = self._rhythm.backoff(self._count(key))
        else:
            self._journal.passed(key, outcome.value, time.monotonic() - began)
            self._remember(key, mode, outcome)
            delay = self._rhythm.after(
                outcome, self._count(key) if outcome is Outcome.FAILING else self._reset(key)
            )
        finally:
            self._queue.done(key)
        if delay is not None:
            self._queue.poke(key, Lane.RESYNC, delay)

    def _remember(self, key: Key, mode: ReconcileMode, outcome: Outcome) -> None:
        """Glances are enough for what was completely looked at and was ready, for a while."""
        if outcome not in {Outcome.READY, Outcome.UNCHANGED}:
            self._complete_until.pop(key, None)
        elif mode is ReconcileMode.FULL:
            self._complete_until[key] = time.monotonic() + self._rhythm.resync()

    def _count(self, key: Key) -> int:
        self._failures[key] = self._failures.get(key, -1) + 1
        return self._failures[key]

    def _reset(self, key: Key) -> int:
        self._failures.pop(key, None)
        return 0
