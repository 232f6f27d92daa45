"""
Chains recorded events and anchors the chain; one process at a time.

Transactions that record events do not wait for each other, because they do not touch the chain. An
event may therefore become visible after one with a higher number. The chain takes events in the
order in which they become visible.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import structlog

from healthingest_service.audit.chain import extended
from healthingest_service.audit.errors import AuditError, ChainMovedError
from healthingest_service.audit.model import Anchor, Link, StoredEvent
from healthingest_service.audit.ports import Anchors, AuditChain

CHAIN_FAILED: Final = "audit_chain_failed"
BATCH: Final = 1000
WINDOW: Final = 100_000
"""
After a start, events whose number is lower than the head's by more than this are not looked for.

That many events take far longer to record than a transaction may last.
"""
RECENT: Final = 10_000
"""How far below the head most searches look; once in `look_back_seconds` one covers `WINDOW`."""
LATE_SECONDS: Final = 600.0
"""
After this time, no event with a number below that of a chained one can become visible.

A transaction of the service has a deadline of seconds.
"""


class Floor:
    """The number up to which every event is chained or will never be visible."""

    def __init__(self) -> None:
        self.number = 0
        self._chained: deque[tuple[float, int]] = deque()

    def note(self, number: int, *, at_seconds: float) -> None:
        """Note that an event with *number* was chained, and raise the floor where time allows."""
        self._chained.append((at_seconds, number))
        while self._chained and self._chained[0][0] <= at_seconds - LATE_SECONDS:
            self.number = max(self.number, self._chained.popleft()[1])


class ChainEvents:
    """
    Extends the chain with every recorded event, and anchors its head.

    If two processes run it, one of them gets `ChainMovedError` and starts again from the new head.

    Once in *look_back_seconds* it looks for events that became visible very late, see `WINDOW`.
    """

    def __init__(  # noqa: PLR0913 - one argument for each interval
        self,
        chain: AuditChain,
        anchors: Anchors,
        *,
        clock: Callable[[], datetime],
        interval_seconds: float,
        anchor_seconds: float,
        look_back_seconds: float = 60.0,
    ) -> None:
        self._chain = chain
        self._anchors = anchors
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._anchor_seconds = anchor_seconds
        self._look_back_seconds = look_back_seconds
        self._looked_back_at = -float("inf")
        self._floor = Floor()
        self._anchored: Link | None = None
        self._anchored_at = -float("inf")
        self.chained_events = 0
        self.anchored_at: datetime | None = None
        self._log = structlog.get_logger("healthingest.audit")

    async def run(self, stop: asyncio.Event) -> None:
        """Chain and anchor in every interval, until *stop* is set."""
        while not stop.is_set():
            try:
                await self.chain_all()
                await self.anchor_if_due()
            except ChainMovedError:
                pass  # another process extends the chain
            except AuditError as error:
                self._log.warning(CHAIN_FAILED, error_type=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_seconds):
                    await stop.wait()

    async def chain_all(self) -> int:
        """
        Chain all events that are visible now; returns their number.

        Raises:
            ChainMovedError: another process has extended the chain meanwhile.
            AuditUnavailableError: the database gave no clear answer; repeating is safe.
        """
        done = 0
        while True:
            head = await self._chain.head()
            found = await self._unchained(0 if head is None else head.number)
            if not found:
                return done
            links = tuple(extended(head, found))
            await self._chain.append(links)
            self._floor.note(links[-1].number, at_seconds=time.monotonic())
            done += len(links)
            self.chained_events += len(links)

    async def _unchained(self, newest: int) -> Sequence[StoredEvent]:
        """Return the next events to chain; *newest* is the number of the head."""
        now = time.monotonic()
        looks_back = now - self._looked_back_at >= self._look_back_seconds
        lowest = newest - (WINDOW if looks_back else RECENT)
        found = await self._chain.unchained(after=max(self._floor.number, lowest), limit=BATCH)
        if looks_back:  # if there are more, the head is below them now
            self._looked_back_at = now
        return found

    async def anchor_if_due(self) -> None:
        """
        Anchor the head, if it has moved and the last anchor is old enough.

        Raises:
            AuditUnavailableError: repeating is safe.
        """
        now = time.monotonic()
        if now - self._anchored_at < self._anchor_seconds:
            return
        head = await self._chain.head()
        if head is not None and head != self._anchored:
            at = self._clock()
            await self._anchors.write(Anchor(head.position, head.hash, at))
            self.anchored_at = at
        self._anchored = head
        self._anchored_at = now
