"""The audit log in memory, and events for tests; `tests/ports` holds it to the same facts."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from uuid import UUID

from typing_extensions import override

from healthingest_service.audit.chain import canonical
from healthingest_service.audit.errors import ChainMovedError
from healthingest_service.audit.model import (
    Action,
    ActorKind,
    Anchor,
    AuditEvent,
    ChainRow,
    Link,
    Outcome,
    StoredEvent,
)
from healthingest_service.audit.ports import (
    Anchors,
    AuditChain,
    AuditLog,
    AuditReader,
    AuditSalts,
    EventSelection,
)
from healthingest_service.audit.pruning import pruned_object
from healthingest_service.audit.recorder import EMAIL_SALTS, email_salt_name
from support.uploads import NOON


def event(number: int = 1, *, at: datetime = NOON) -> AuditEvent:
    """Return an event that differs for each *number*."""
    return AuditEvent(
        occurred_at=at,
        actor=ActorKind.ACCOUNT,
        action=Action.UPLOAD,
        outcome=Outcome.DONE,
        account_id=UUID(int=number),
        object_id=f"object {number}",
        correlation_id="correlation",
    )


@dataclass
class MemoryAudit(AuditLog, AuditReader, AuditChain):
    """Events and chain in memory."""

    events: dict[int, AuditEvent] = field(default_factory=dict)
    links: dict[int, Link] = field(default_factory=dict)
    _last: int = 0

    @override
    async def record(self, event: AuditEvent) -> None:
        await asyncio.sleep(0)
        self._last += 1
        self.events[self._last] = event

    @override
    async def head(self) -> Link | None:
        await asyncio.sleep(0)
        return self.links[max(self.links)] if self.links else None

    @override
    async def unchained(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        await asyncio.sleep(0)
        chained = {link.number for link in self.links.values()}
        numbers = sorted(number for number in self.events if number > after)
        found = [number for number in numbers if number not in chained]
        return [StoredEvent(number, self.events[number]) for number in found[:limit]]

    @override
    async def append(self, links: Sequence[Link]) -> None:
        await asyncio.sleep(0)
        numbers = {link.number for link in self.links.values()}
        if any(link.position in self.links or link.number in numbers for link in links):
            raise ChainMovedError
        self.links |= {link.position: link for link in links}

    @override
    async def page(self, *, after: int, limit: int) -> Sequence[tuple[Link, StoredEvent | None]]:
        await asyncio.sleep(0)
        positions = sorted(position for position in self.links if position > after)[:limit]
        return [(self.links[one], self._event_of(self.links[one])) for one in positions]

    @override
    async def forms(self, *, after: int, limit: int) -> Sequence[ChainRow]:
        return [
            ChainRow(
                link.position,
                link.number,
                link.hash,
                None if stored is None else canonical(stored),
            )
            for link, stored in await self.page(after=after, limit=limit)
        ]

    @override
    async def has_prune_event(self, link: Link) -> bool:
        await asyncio.sleep(0)
        return any(
            (one.action, one.actor, one.object_id)
            == (Action.AUDIT_PRUNE, ActorKind.SYSTEM, pruned_object(link))
            for one in self.events.values()
        )

    @override
    async def prune(self, upto: Link, event: AuditEvent) -> None:
        await asyncio.sleep(0)
        old = [link for link in self.links.values() if link.position <= upto.position]
        if not any(link.number in self.events for link in old):
            raise ChainMovedError
        for link in old:
            self.events.pop(link.number, None)
            if link.position < upto.position:
                del self.links[link.position]
        await self.record(event)

    def _event_of(self, link: Link) -> StoredEvent | None:
        found = self.events.get(link.number)
        return None if found is None else StoredEvent(link.number, found)

    @override
    async def newest(
        self, selection: EventSelection, *, limit: int, before: tuple[datetime, int] | None = None
    ) -> Sequence[StoredEvent]:
        await asyncio.sleep(0)
        found = [
            StoredEvent(number, one)
            for number, one in self.events.items()
            if one.study == selection.study
            and selection.subject_hash in {None, one.subject_hash}
            and (
                not selection.downloads_only
                or (one.action, one.outcome) == (Action.DOWNLOAD, Outcome.DONE)
            )
            and (before is None or (one.occurred_at, number) < before)
        ]
        return sorted(found, key=lambda one: (one.event.occurred_at, one.number))[::-1][:limit]


@dataclass
class MemoryAnchors(Anchors):
    """Anchors in memory; those at the positions `locked` cannot be removed."""

    written: list[Anchor] = field(default_factory=list)
    locked: set[int] = field(default_factory=set)

    @override
    async def write(self, anchor: Anchor) -> None:
        await asyncio.sleep(0)
        if anchor not in self.written:
            self.written.append(anchor)

    @override
    async def all(self) -> AsyncIterator[Anchor]:
        for anchor in list(self.written):
            await asyncio.sleep(0)
            yield anchor

    @override
    async def of_days_before(self, day: date) -> AsyncIterator[Anchor]:
        for anchor in sorted(self.written, key=lambda one: one.written_at):
            await asyncio.sleep(0)
            if anchor.written_at.date() < day:
                yield anchor

    @override
    async def remove(self, anchor: Anchor) -> bool:
        await asyncio.sleep(0)
        if anchor.position in self.locked:
            return False
        self.written = [
            one
            for one in self.written
            if (one.position, one.hash) != (anchor.position, anchor.hash)
        ]
        return True


@dataclass
class MemorySalts(AuditSalts):
    """Salts in memory; `calls` counts the requests for one."""

    salts: dict[str, bytes] = field(default_factory=dict)
    calls: int = 0

    @override
    async def salt(self, name: str) -> bytes:
        await asyncio.sleep(0)
        self.calls += 1
        return self.salts.setdefault(name, secrets.token_bytes(32))

    @override
    async def forget_emails(self, *, before: date) -> int:
        await asyncio.sleep(0)
        old = [name for name in self.salts if EMAIL_SALTS <= name < email_salt_name(before)]
        for name in old:
            del self.salts[name]
        return len(old)
