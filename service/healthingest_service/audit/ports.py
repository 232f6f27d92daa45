"""
The ports of the audit log.

Every method raises `AuditUnavailableError` if it got no clear answer; repeating is safe.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol

from healthingest_service.audit.model import Anchor, AuditEvent, ChainRow, Link, StoredEvent


class AuditLog(Protocol):
    """Where events are recorded."""

    async def record(self, event: AuditEvent) -> None:
        """Append *event*, in a transaction of its own. A second call appends it again."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSelection:
    """Which events of a study; None means each one."""

    study: str
    subject_hash: str | None = None
    downloads_only: bool = False


class AuditReader(Protocol):
    """The events of studies, for their managers."""

    async def newest(
        self, selection: EventSelection, *, limit: int, before: tuple[datetime, int] | None = None
    ) -> Sequence[StoredEvent]:
        """
        Return up to *limit* events, newest first, before this time and number.

        `downloads_only` leaves out refused downloads, too.
        """
        ...


class AuditSalts(Protocol):
    """
    The salts of personal values, each with a name.

    The erasure of a subject removes its salt, in the transaction of `ErasureWork.close_subjects`.
    """

    async def salt(self, name: str) -> bytes:
        """Return the salt *name*; the first call makes it. All processes get the same."""
        ...

    async def forget_emails(self, *, before: date) -> int:
        """Remove the salts of e-mail addresses of days before *before*; returns their number."""
        ...


class AuditChain(Protocol):
    """The events and their chain."""

    async def head(self) -> Link | None:
        """Return the last link; None if the chain is empty."""
        ...

    async def unchained(self, *, after: int, limit: int) -> Sequence[StoredEvent]:
        """Return up to *limit* events with a number above *after* and without a link, by number."""
        ...

    async def append(self, links: Sequence[Link]) -> None:
        """
        Append *links* in one transaction.

        Raises:
            ChainMovedError: the chain has one of these positions or events already.
        """
        ...

    async def page(self, *, after: int, limit: int) -> Sequence[tuple[Link, StoredEvent | None]]:
        """
        Return up to *limit* links with a position above *after*, by position, with their events.

        The event is None if the database does not have it.
        """
        ...

    async def forms(self, *, after: int, limit: int) -> Sequence[ChainRow]:
        """Return the same links with the canonical forms of their events, which is faster."""
        ...

    async def has_prune_event(self, link: Link) -> bool:
        """Return whether an event says that the events up to *link* were removed."""
        ...

    async def prune(self, upto: Link, event: AuditEvent) -> None:
        """
        Remove the events up to *upto* and the links before it, and record *event*, in one commit.

        The link *upto* stays: the rest of the chain begins with its hash. The database refuses to
        remove events that are younger than 30 days.

        Raises:
            ChainMovedError: another process has removed them meanwhile; nothing was written.
        """
        ...


class Anchors(Protocol):
    """The store of anchors, outside the database."""

    async def write(self, anchor: Anchor) -> None:
        """Keep *anchor*; it is durable on return. Calling twice is safe."""
        ...

    def all(self) -> AsyncIterator[Anchor]:
        """Yield all anchors, in any order."""
        ...

    def of_days_before(self, day: date) -> AsyncIterator[Anchor]:
        """Yield the anchors that were written on days (UTC) before *day*, the oldest day first."""
        ...

    async def remove(self, anchor: Anchor) -> bool:
        """
        Remove *anchor* with all its versions, and return True; a missing one is no error.

        Returns False if the store refuses, for example because it has locked the object.
        """
        ...
