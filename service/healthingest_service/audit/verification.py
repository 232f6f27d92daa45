"""Verifies the chain: finds changed, missing, swapped and inserted rows."""

import re
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from healthingest_service.audit.chain import START, canonical, next_hash
from healthingest_service.audit.chaining import LATE_SECONDS
from healthingest_service.audit.model import Action, ChainRow, Link
from healthingest_service.audit.ports import Anchors, AuditChain
from healthingest_service.audit.pruning import pruned_object

PAGE: Final = 20_000
_ATTEMPTS: Final = 3
"""Another process may remove old events meanwhile; then the verification starts again."""
_PRUNED: Final = f'"action":"{Action.AUDIT_PRUNE.value}"'
_OBJECT: Final = re.compile(r'"object_id":"([^"]*)"')
_BEFORE_ALL: Final = -(2**63)
"""Less than any number, also that of an inserted row."""
MAX_FAULTS: Final = 100
"""Faults that a verification reports; it counts the others."""


class FaultKind(StrEnum):
    """What is wrong at a position of the chain."""

    EVENT_MISSING = "event-missing"
    """The chain has a link to an event that does not exist."""
    HASH_DIFFERS = "hash-differs"
    """The event, its position or the link was changed."""
    LINK_MISSING = "link-missing"
    """Positions before this one are missing."""
    START_MISSING = "start-missing"
    """The chain begins here, and no event says that the janitor has removed its beginning."""
    ANCHOR_DIFFERS = "anchor-differs"
    """The chain has another hash at this position than the anchor in the bucket."""
    ANCHOR_BEYOND_END = "anchor-beyond-end"
    """The chain was longer when the anchor was written: its end is missing."""
    EVENT_UNCHAINED = "event-unchained"
    """
    The event has no link, although it is older than ten minutes: it was inserted afterwards, or no
    process chains events.
    """


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: the position in the chain, or the number of an event without a position."""

    kind: FaultKind
    position: int | None = None
    number: int | None = None


@dataclass(slots=True)
class Verified:
    """
    The result of a verification.

    `pruned_events` were removed by age; `waiting_events` have no link yet.
    """

    events: int = 0
    pruned_events: int = 0
    anchors: int = 0
    waiting_events: int = 0
    head: Link | None = None
    fault_count: int = 0
    faults: list[Fault] = field(default_factory=list)

    @property
    def is_intact(self) -> bool:
        """Return whether no fault was found."""
        return not self.fault_count

    def add(self, fault: Fault) -> None:
        """Count *fault*, and keep it if there are not too many."""
        self.fault_count += 1
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(fault)


class ChainCheck:
    """
    Checks links one after the other, in order of their positions. Pure.

    After a fault it goes on from the stored hash, so that one change is one fault. The first link
    may be one without its event: then older events were removed, and `start` is this link. Whether
    they were removed by the janitor, `pruned` tells in the end.
    """

    def __init__(self) -> None:
        self._position = 0
        self._hash = START
        self._is_first = True
        self.start: Link | None = None
        self.pruned: set[str] = set()

    def faults(self, rows: Iterable[ChainRow]) -> Iterator[Fault]:
        """Yield the faults of the next *rows*."""
        position = self._position
        previous = self._hash
        for row in rows:
            if self._is_first and row.form is None:
                self.start = Link(row.position, row.number, row.hash)
            else:
                expected = position + 1
                if row.position != expected:
                    yield Fault(FaultKind.LINK_MISSING, expected)
                if row.form is None:
                    yield Fault(FaultKind.EVENT_MISSING, row.position)
                elif row.position == expected:
                    if next_hash(previous, expected, row.form) != row.hash:
                        yield Fault(FaultKind.HASH_DIFFERS, row.position)
                    self.note(row.form)
            self._is_first = False
            position = row.position
            previous = row.hash
        self._position = position
        self._hash = previous

    def note(self, form: str) -> None:
        """Note an event which says that older ones were removed."""
        if _PRUNED in form:
            found = _OBJECT.search(form)
            if found is not None:
                self.pruned.add(found[1])

    def last_fault(self) -> Fault | None:
        """Return the fault that shows when all events were noted."""
        if self.start is None or pruned_object(self.start) in self.pruned:
            return None
        return Fault(FaultKind.START_MISSING, self.start.position)


def _note_beyond_end(result: Verified, anchored: Iterable[int]) -> None:
    """Add a fault for each anchored position after the last row: rows were removed there."""
    end = 0 if result.head is None else result.head.position
    for position in sorted(one for one in anchored if one > end):
        result.add(Fault(FaultKind.ANCHOR_BEYOND_END, position))


class VerifyChain:
    """The use case: verifies the whole chain and compares it with the anchors."""

    def __init__(
        self, chain: AuditChain, anchors: Anchors, *, clock: Callable[[], datetime]
    ) -> None:
        self._chain = chain
        self._anchors = anchors
        self._clock = clock

    async def __call__(self) -> Verified:
        """
        Verify everything, and return what was found.

        Raises:
            AuditUnavailableError: the chain or the anchors cannot be read.
        """
        result = await self._verify()
        for _ in range(_ATTEMPTS - 1):
            first = await self._chain.forms(after=0, limit=1)
            start = first[0].position if first and first[0].form is None else 0
            if result.is_intact or start <= result.pruned_events:
                break
            result = await self._verify()
        return result

    async def _verify(self) -> Verified:
        result = Verified()
        anchored = await self._read_anchors(result)
        check = ChainCheck()
        async for rows in self._pages():
            result.events += len(rows)
            result.head = Link(*rows[-1][:3])
            for fault in check.faults(rows):
                result.add(fault)
            for row in rows:
                if anchored.pop(row.position, {row.hash}) != {row.hash}:
                    result.add(Fault(FaultKind.ANCHOR_DIFFERS, row.position))
        if check.start is not None:
            result.events -= 1
            result.pruned_events = check.start.position
        _note_beyond_end(result, anchored)
        await self._note_unchained(result, check)
        last = check.last_fault()
        if last is not None:
            result.add(last)
        return result

    async def _read_anchors(self, result: Verified) -> dict[int, set[str]]:
        """Return the hashes of each position; an anchor that was changed makes a second one."""
        anchored: dict[int, set[str]] = {}
        async for anchor in self._anchors.all():
            anchored.setdefault(anchor.position, set()).add(anchor.hash)
            result.anchors += 1
        return anchored

    async def _note_unchained(self, result: Verified, check: ChainCheck) -> None:
        late = self._clock() - timedelta(seconds=LATE_SECONDS)
        after = _BEFORE_ALL
        while found := await self._chain.unchained(after=after, limit=PAGE):
            after = found[-1].number
            result.waiting_events += len(found)
            for stored in found:
                check.note(canonical(stored))
                if stored.event.occurred_at < late:
                    result.add(Fault(FaultKind.EVENT_UNCHAINED, number=stored.number))

    async def _pages(self) -> AsyncIterator[Sequence[ChainRow]]:
        after = 0
        while rows := await self._chain.forms(after=after, limit=PAGE):
            yield rows
            after = rows[-1].position
