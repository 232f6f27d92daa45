"""
Removes old events, so that the chain of the others stays verifiable.

The link of the last removed event stays as the start of the chain. An anchor of it is written
before, and an event with its position and hash is recorded in the same commit.
"""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from healthingest_service.audit.anchor_pruning import RemovedAnchors, remove_anchors, start_of
from healthingest_service.audit.chain import START, canonical, next_hash
from healthingest_service.audit.errors import AuditError, ChainMovedError
from healthingest_service.audit.model import (
    Action,
    ActorKind,
    Anchor,
    AuditEvent,
    Link,
    Outcome,
    StoredEvent,
)
from healthingest_service.audit.ports import Anchors, AuditChain, AuditSalts

PRUNE_FAILED: Final = "audit_prune_failed"
PRUNE_STOPPED: Final = "audit_prune_stopped"
ANCHORS_PRUNED: Final = "audit_anchors_pruned"
BATCH: Final = 5000


def prune_event(upto: Link, at: datetime) -> AuditEvent:
    """Return the event which says that the events up to *upto* were removed."""
    return AuditEvent(
        occurred_at=at,
        actor=ActorKind.SYSTEM,
        action=Action.AUDIT_PRUNE,
        outcome=Outcome.DONE,
        object_id=pruned_object(upto),
    )


def pruned_object(upto: Link) -> str:
    """Return the object of that event."""
    return f"{upto.position}-{upto.hash}"


def last_prunable(
    rows: Iterable[tuple[Link, StoredEvent | None]], start: Link | None, *, before: datetime
) -> tuple[Link | None, bool]:
    """
    Return the last link of the intact links whose events are older than *before*. Pure.

    *start* is the link before *rows*, None at the beginning of the chain. The second value is False
    if the links end at a fault, which must stay visible.
    """
    position = 0 if start is None else start.position
    previous = START if start is None else start.hash
    last: Link | None = None
    for link, stored in rows:
        position += 1
        if (
            stored is None
            or link.position != position
            or next_hash(previous, position, canonical(stored)) != link.hash
        ):
            return last, False
        if stored.event.occurred_at >= before:
            break
        last = link
        previous = link.hash
    return last, True


class PruneEvents:
    """
    Removes what is older than *retention*, in every interval; one process at a time.

    These are events with their links, anchors before the start of the chain, and the salts of
    e-mail addresses.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        chain: AuditChain,
        anchors: Anchors,
        *,
        salts: AuditSalts,
        retention: timedelta,
        clock: Callable[[], datetime],
        interval_seconds: float,
    ) -> None:
        self._chain = chain
        self._anchors = anchors
        self._salts = salts
        self._retention = retention
        self._clock = clock
        self._interval_seconds = interval_seconds
        self._log = structlog.get_logger("healthingest.audit")

    async def run(self, stop: asyncio.Event) -> None:
        """Prune in every interval, until *stop* is set."""
        while not stop.is_set():
            try:
                await self.prune_all(stop)
                await self.prune_anchors(stop)
                await self.prune_salts()
            except ChainMovedError:
                pass  # another process prunes
            except AuditError as error:
                self._log.warning(PRUNE_FAILED, error_type=type(error).__name__)
            with suppress(TimeoutError):
                async with asyncio.timeout(self._interval_seconds):
                    await stop.wait()

    async def prune_all(self, stop: asyncio.Event | None = None) -> int:
        """
        Remove all events that are old enough now; returns their number.

        It stops at a fault of the chain, and logs it.

        Raises:
            ChainMovedError: another process prunes.
            AuditUnavailableError: no clear answer; repeating is safe.
        """
        removed = 0
        while stop is None or not stop.is_set():
            rows = list(await self._chain.page(after=0, limit=BATCH))
            start = await start_of(self._chain, rows)
            if start is not None:
                rows = rows[1:]
            at = self._clock()
            upto, is_intact = last_prunable(rows, start, before=at - self._retention)
            if upto is not None:
                await self._anchors.write(Anchor(upto.position, upto.hash, at))
                await self._chain.prune(upto, prune_event(upto, at))
                removed += upto.position - (0 if start is None else start.position)
            if not is_intact:
                self._log.error(PRUNE_STOPPED, position=0 if upto is None else upto.position)
            if upto is None or not is_intact:
                return removed
        return removed

    async def prune_anchors(self, stop: asyncio.Event | None = None) -> RemovedAnchors:
        """
        Remove anchors that are old enough and before the start of the chain, and count them.

        Raises:
            AuditUnavailableError: no clear answer; repeating is safe.
        """
        done = await remove_anchors(
            self._chain, self._anchors, before=self._clock() - self._retention, stop=stop
        )
        if done != RemovedAnchors():
            self._log.info(ANCHORS_PRUNED, removed=done.removed, kept=done.kept)
        return done

    async def prune_salts(self) -> int:
        """
        Remove the salts of e-mail addresses of days that are old enough, and count them.

        Raises:
            AuditUnavailableError: no clear answer; repeating is safe.
        """
        oldest = (self._clock() - self._retention).astimezone(UTC).date()
        return await self._salts.forget_emails(before=oldest)
