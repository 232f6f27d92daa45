"""
Removes anchors of events that were removed.

An anchor is compared with the link at its position. The chain has no link before its start, so
earlier anchors verify nothing any more. The anchor of the start stays, and all after it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from healthingest_service.audit.model import Anchor, Link, StoredEvent
from healthingest_service.audit.ports import Anchors, AuditChain

MAX_REMOVED: Final = 10_000
"""Anchors that one round removes; a day has at most 1,440."""
MAX_KEPT: Final = 1000
"""Refusals of the store that end a round, so that locked objects cost few requests."""


@dataclass(slots=True)
class RemovedAnchors:
    """The result of a round; `kept` counts those that the store refused to remove."""

    removed: int = 0
    kept: int = 0

    @property
    def is_enough(self) -> bool:
        """Whether the round ends here; the next one continues."""
        return self.removed >= MAX_REMOVED or self.kept >= MAX_KEPT


async def start_of(
    chain: AuditChain, rows: Sequence[tuple[Link, StoredEvent | None]]
) -> Link | None:
    """
    Return the link that an earlier run of the pruning left as the start of the chain.

    *rows* are the first ones of the chain. None if the chain is whole, or if no event says that its
    beginning was removed.

    Raises:
        AuditUnavailableError: no clear answer; repeating is safe.
    """
    if not rows:
        return None
    link, stored = rows[0]
    return link if stored is None and await chain.has_prune_event(link) else None


def is_superfluous(anchor: Anchor, start: Link) -> bool:
    """Return whether no link is left with which *anchor* could be compared. Pure."""
    return anchor.position < start.position


async def remove_anchors(
    chain: AuditChain, anchors: Anchors, *, before: datetime, stop: asyncio.Event | None = None
) -> RemovedAnchors:
    """
    Remove superfluous anchors of days before that of *before*.

    Those of younger days stay, so that they show if somebody has removed events too early.

    Raises:
        AuditUnavailableError: no clear answer; repeating is safe.
    """
    done = RemovedAnchors()
    start = await start_of(chain, await chain.page(after=0, limit=1))
    if start is None:
        return done
    async for anchor in anchors.of_days_before(before.astimezone(UTC).date()):
        if done.is_enough or (stop is not None and stop.is_set()):
            break
        if not is_superfluous(anchor, start):
            continue
        if await anchors.remove(anchor):
            done.removed += 1
        else:
            done.kept += 1
    return done
