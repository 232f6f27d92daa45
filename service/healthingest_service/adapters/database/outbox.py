"""The port `Outbox` with the database."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import outbox_statements, rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.tables import OutboxRow
from healthingest_service.uploads.model import (
    Backlog,
    DeferralReason,
    MessageId,
    OutgoingMessage,
    UploadId,
)
from healthingest_service.uploads.relay_ports import DeferredMessage, Outbox, OutboxBatch


class ClaimedMessages(OutboxBatch):
    """Claimed messages, and the reported result of each."""

    def __init__(self, messages: Sequence[OutgoingMessage], expires_at: datetime) -> None:
        self._messages = messages
        self._expires_at = expires_at
        self.announced_at: dict[MessageId, datetime] = {}
        self.deferred: dict[MessageId, outbox_statements.Deferral] = {}

    @property
    @override
    def messages(self) -> Sequence[OutgoingMessage]:
        return self._messages

    @property
    @override
    def expires_at(self) -> datetime:
        return self._expires_at

    @override
    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        self.announced_at[message_id] = at

    @override
    async def failed(
        self, message_id: MessageId, *, retry_at: datetime, reason: DeferralReason
    ) -> None:
        self.deferred[message_id] = retry_at, reason


_MAX_COUNTED: Final = 1_000_000
"""`backlog` counts at most this many messages."""


class DatabaseOutbox(Outbox):
    """
    Messages in the table `outbox`.

    A claim is a time in the row, not an open transaction. So a slow broker occupies no connection
    and, on SQLite, not the only write lock. The claim of an ended relay expires after
    *claim_seconds*.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_seconds: float,
        claim_seconds: float = 60.0,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._claim = timedelta(seconds=claim_seconds)
        self._clock = clock

    @override
    @asynccontextmanager
    async def claim(self, *, limit: int) -> AsyncIterator[ClaimedMessages]:
        batch = await self._take(limit)
        try:
            yield batch
        finally:  # also after an error, so that confirmed messages are not announced again
            if batch.messages:
                await self._settle(batch)

    @override
    async def backlog(self) -> Backlog:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            # Reads an index in its order, because every process calls this every few seconds.
            ages = (
                select(OutboxRow.created_at)
                .order_by(OutboxRow.created_at)
                .limit(_MAX_COUNTED)
                .subquery()
            )
            count, oldest = (
                await connection.execute(select(func.count(), func.min(ages.c.created_at)))
            ).one()
        if oldest is None:
            return Backlog(0, 0.0)
        return Backlog(count, max(0.0, (self._clock() - oldest).total_seconds()))

    async def deferred_counts(self) -> Mapping[DeferralReason, int]:
        """Return the number of deferred messages, by the reason of their last attempt."""
        reason = OutboxRow.deferral_reason
        wanted = select(reason, func.count()).where(reason.is_not(None)).group_by(reason)
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return {DeferralReason(name): count for name, count in await connection.execute(wanted)}

    async def deferred(self, *, limit: int) -> Sequence[DeferredMessage]:
        """Return the oldest deferred messages."""
        wanted = (
            select(OutboxRow)
            .where(OutboxRow.deferral_reason.is_not(None))
            .order_by(OutboxRow.created_at)
        )
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return [
                DeferredMessage(
                    None if row.upload_id is None else UploadId(row.upload_id),
                    row.routing_key,
                    DeferralReason(row.deferral_reason),
                    row.attempts,
                    row.created_at,
                    row.due_at,
                )
                for row in await connection.execute(wanted.limit(limit))
            ]

    async def _take(self, limit: int) -> ClaimedMessages:
        now = self._clock()
        until = now + self._claim
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, single=True
        ) as connection:
            claimed = await outbox_statements.claim(connection, now=now, until=until, limit=limit)
        return ClaimedMessages([rows.message(row) for row in claimed], until)

    async def _settle(self, batch: ClaimedMessages) -> None:
        announced = [message for message in batch.messages if message.id in batch.announced_at]
        kept = [message for message in batch.messages if message.id not in batch.announced_at]
        async with transaction(
            self._engine,
            timeout_seconds=self._timeout_seconds,
            single=not (announced and kept),
        ) as connection:
            if announced:
                await outbox_statements.remove(connection, announced, batch.announced_at)
            if kept:
                await outbox_statements.release(connection, kept, batch.deferred)
