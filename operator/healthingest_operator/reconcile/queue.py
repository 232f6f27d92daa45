"""
The work queue: keys of HealthIngests, in lanes by priority.

A key is in the queue at most once, and one worker at a time has it. A key that is enqueued while a
worker has it becomes due again afterwards. Changes of a spec precede changes of children, and those
precede resyncs. A deletion does not wait in the queue: it takes its key as soon as no worker has
it. No reconciliation can then create again what the deletion has removed.
"""

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, TypeVar

KeyType = TypeVar("KeyType")


class Lane(IntEnum):
    """Priority among the keys that are due; the smallest goes first."""

    CHANGE = 0
    CHILD = 1
    RESYNC = 2


RESYNCS_DURING_A_CHANGE: Final = 1
"""Maximum number of resyncs that run beside a change, however long it takes."""


@dataclass(slots=True)
class _Entry:
    due: float
    lane: Lane
    ticket: int


class KeyedQueue(Generic[KeyType]):
    """
    A queue of keys with a due time; *clock* gives monotonic seconds.

    Every waiting `take` returns as soon as a key is due.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[KeyType, _Entry] = {}
        self._later: list[tuple[float, int, KeyType]] = []
        self._ready: list[tuple[Lane, float, int, KeyType]] = []
        self._working: dict[KeyType, Lane | None] = {}
        self._requeued: dict[KeyType, tuple[float, Lane]] = {}
        self._tickets = itertools.count()
        self._changed = asyncio.Event()
        self._freed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._yielded = False

    def __len__(self) -> int:
        """Number of keys that are due and not taken."""
        return sum(self.depth(lane) for lane in Lane)

    def depth(self, lane: Lane) -> int:
        """Number of keys of *lane* that are due and not taken."""
        self._sort_out()
        return sum(
            1
            for found, _, ticket, key in self._ready
            if found is lane and self._is_current(key, ticket)
        )

    def enqueue(self, key: KeyType, lane: Lane, delay_seconds: float = 0.0) -> None:
        """Make *key* due in *delay_seconds*; an earlier due time stays."""
        due = self._clock() + delay_seconds
        if key in self._working:
            requeued = self._requeued.get(key, (due, lane))
            self._requeued[key] = (min(due, requeued[0]), min(lane, requeued[1]))
            return
        entry = self._waiting.get(key)
        if entry is not None:
            if entry.due <= due and entry.lane <= lane:
                return
            due = min(due, entry.due)
            lane = min(lane, entry.lane)
        ticket = next(self._tickets)
        self._waiting[key] = _Entry(due, lane, ticket)
        sooner = not self._later or due < self._later[0][0]
        heapq.heappush(self._later, (due, ticket, key))
        if sooner:
            self._changed.set()

    def enqueue_all(self, lane: Lane) -> None:
        """Make every key due that is enqueued or taken."""
        for key in [*self._waiting, *self._working]:
            self.enqueue(key, lane)

    async def take(self) -> tuple[KeyType, Lane]:
        """Wait for the next due key and take it; the caller has it until `done`."""
        # Only one worker waits for the due time; otherwise each key would wake every worker.
        async with self._turn:
            while True:
                found = self._next()
                if found is not None:
                    key, lane = found
                    del self._waiting[key]
                    self._working[key] = lane
                    return found
                self._changed.clear()
                wait = self._later[0][0] - self._clock() if self._later else None
                with suppress(TimeoutError):
                    async with asyncio.timeout(wait):
                        await self._changed.wait()

    @asynccontextmanager
    async def alone(self, key: KeyType) -> AsyncIterator[None]:
        """Take *key* as soon as no worker has it, and keep its due time meanwhile."""
        while key in self._working:
            self._freed.clear()
            await self._freed.wait()
        entry = self._waiting.pop(key, None)
        self._working[key] = None
        if entry is not None:
            self._requeued[key] = (entry.due, entry.lane)
        try:
            yield
        finally:
            self.done(key)

    def done(self, key: KeyType) -> None:
        """Return *key*; it is due again if it was enqueued meanwhile."""
        self._working.pop(key, None)
        self._freed.set()
        if self._yielded:
            self._yielded = False
            self._changed.set()
        requeued = self._requeued.pop(key, None)
        if requeued is not None:
            self.enqueue(key, requeued[1], requeued[0] - self._clock())

    def forget(self, key: KeyType) -> None:
        """Remove *key*; a taken key is not enqueued again."""
        self._waiting.pop(key, None)
        self._requeued.pop(key, None)

    def _next(self) -> tuple[KeyType, Lane] | None:
        self._sort_out()
        while self._ready:
            lane, _, ticket, key = self._ready[0]
            if self._is_current(key, ticket):
                self._yielded = lane is Lane.RESYNC and self._resyncs_yield()
                if self._yielded:
                    return None
                heapq.heappop(self._ready)
                return key, lane
            heapq.heappop(self._ready)
        return None

    def _resyncs_yield(self) -> bool:
        """
        Whether resyncs wait for a change.

        Workers share one CPU. A change would be slow if all other workers did resyncs.
        """
        lanes = list(self._working.values())
        return Lane.CHANGE in lanes and lanes.count(Lane.RESYNC) >= RESYNCS_DURING_A_CHANGE

    def _sort_out(self) -> None:
        now = self._clock()
        while self._later and self._later[0][0] <= now:
            due, ticket, key = heapq.heappop(self._later)
            if self._is_current(key, ticket):
                heapq.heappush(self._ready, (self._waiting[key].lane, due, ticket, key))

    def _is_current(self, key: KeyType, ticket: int) -> bool:
        entry = self._waiting.get(key)
        return entry is not None and entry.ticket == ticket
