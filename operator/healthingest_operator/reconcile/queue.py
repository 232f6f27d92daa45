"""
Which HealthIngest is looked at next: a queue of keys with lanes.

A key is in it at most once and is never worked on by two workers at once; poked meanwhile, it comes
again. Changes of a spec go before changes of children, and those before the regular look. A
deletion does not stand in line: it takes its key for itself as soon as nobody works on it, so that
no pass makes anew what the deletion has just removed.
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
    """What goes first among keys that are due."""

    CHANGE = 0
    CHILD = 1
    RESYNC = 2


RESYNCS_DURING_A_CHANGE: Final = 1
"""Regular looks that go on while a change is worked on, however long that takes."""


@dataclass(slots=True)
class _Entry:
    due: float
    lane: Lane
    ticket: int


class KeyedQueue(Generic[KeyType]):
    """
    *clock* gives monotonic seconds.

    The queue itself never sleeps longer than until the next key is due.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[KeyType, _Entry] = {}
        self._later: list[tuple[float, int, KeyType]] = []
        self._ready: list[tuple[Lane, float, int, KeyType]] = []
        self._working: dict[KeyType, Lane | None] = {}
        self._held: dict[KeyType, tuple[float, Lane]] = {}
        self._tickets = itertools.count()
        self._changed = asyncio.Event()
        self._freed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._yielded = False

    def __len__(self) -> int:
        """Keys that are due and not taken yet."""
        return sum(self.depth(lane) for lane in Lane)

    def depth(self, lane: Lane) -> int:
        """Those of them in this lane."""
        self._sort_out()
        return sum(
            1
            for found, _, ticket, key in self._ready
            if found is lane and self._is_current(key, ticket)
        )

    def poke(self, key: KeyType, lane: Lane, delay_seconds: float = 0.0) -> None:
        """ReconcileMode at *key* within this time at the latest; an earlier appointment stays."""
        due = self._clock() + delay_seconds
        if key in self._working:
            held = self._held.get(key, (due, lane))
            self._held[key] = (min(due, held[0]), min(lane, held[1]))
            return
        entry = self._waiting.get(key)
        if entry is not None:
            if entry.due <= due and entry.lane <= lane:
                return
            due, lane = min(due, entry.due), min(lane, entry.lane)
        ticket = next(self._tickets)
        self._waiting[key] = _Entry(due, lane, ticket)
        sooner = not self._later or due < self._later[0][0]
        heapq.heappush(self._later, (due, ticket, key))
        if sooner:
            self._changed.set()

    def poke_all(self, lane: Lane) -> None:
        """ReconcileMode at every key that has an appointment or is worked on."""
        for key in [*self._waiting, *self._working]:
            self.poke(key, lane)

    async def take(self) -> tuple[KeyType, Lane]:
        """The next key that is due; it is yours until `done`."""
        # One worker waits for all: else each of them wakes for every key, to find that another has
        # it.
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
                    await asyncio.wait_for(self._changed.wait(), wait)

    @asynccontextmanager
    async def alone(self, key: KeyType) -> AsyncIterator[None]:
        """
        *key* for yourself as soon as nobody works on it.

        Its appointments wait until you are done.
        """
        while key in self._working:
            self._freed.clear()
            await self._freed.wait()
        entry = self._waiting.pop(key, None)
        self._working[key] = None
        if entry is not None:
            self._held[key] = (entry.due, entry.lane)
        try:
            yield
        finally:
            self.done(key)

    def done(self, key: KeyType) -> None:
        """Give *key* back; it comes again if it was poked meanwhile."""
        self._working.pop(key, None)
        self._freed.set()
        if self._yielded:
            self._yielded = False
            self._changed.set()
        held = self._held.pop(key, None)
        if held is not None:
            self.poke(key, held[1], held[0] - self._clock())

    def forget(self, key: KeyType) -> None:
        """Cancel the appointment; a key that is worked on is not poked again."""
        self._waiting.pop(key, None)
        self._held.pop(key, None)

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
        Workers share one processor.

        A change that is worked on is done late if all others are busy with looks.
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
