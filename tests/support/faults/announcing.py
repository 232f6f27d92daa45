"""Fault points of the relay, as wrappers of the outbox and of the publisher."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from typing_extensions import override

from healthingest_service.uploads.model import Backlog, DeferralReason, MessageId, OutgoingMessage
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox, OutboxBatch
from support.faults.points import Faults, Point

_ON_ITS_WAY_SECONDS: Final = 0.002
"""
After this time a message has left the process.

Its confirm waits for a disk, so it has usually not arrived.
"""


@dataclass(frozen=True, slots=True)
class FaultyBatch(OutboxBatch):
    """A claim."""

    inner: OutboxBatch
    faults: Faults

    @property
    @override
    def messages(self) -> Sequence[OutgoingMessage]:
        return self.inner.messages

    @property
    @override
    def expires_at(self) -> datetime:
        return self.inner.expires_at

    @override
    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        await self.inner.announced(message_id, at=at)

    @override
    async def failed(
        self, message_id: MessageId, *, retry_at: datetime, reason: DeferralReason
    ) -> None:
        await self.inner.failed(message_id, retry_at=retry_at, reason=reason)


@dataclass(frozen=True, slots=True)
class FaultyOutbox(Outbox):
    """An outbox."""

    inner: Outbox
    faults: Faults

    @override
    @asynccontextmanager
    async def claim(self, *, limit: int) -> AsyncIterator[FaultyBatch]:
        async with self.inner.claim(limit=limit) as batch:
            if batch.messages:
                await self.faults.at(Point.RELAY_AFTER_CLAIM)
            yield FaultyBatch(batch, self.faults)
            if batch.messages:
                await self.faults.at(Point.RELAY_BEFORE_SETTLE)
        if batch.messages:
            await self.faults.at(Point.RELAY_AFTER_SETTLE)

    @override
    async def backlog(self) -> Backlog:
        return await self.inner.backlog()


@dataclass(frozen=True, slots=True)
class FaultyPublisher(EventPublisher):
    """The way to the broker."""

    inner: EventPublisher
    faults: Faults

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        await self.faults.at(Point.RELAY_BEFORE_PUBLISH)
        publishing = asyncio.create_task(self.inner.publish(message))
        try:
            await asyncio.wait({publishing}, timeout=_ON_ITS_WAY_SECONDS)
            await self.faults.at(Point.RELAY_WHILE_PUBLISHING)
            await publishing
        finally:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        await self.faults.at(Point.RELAY_AFTER_CONFIRM)
