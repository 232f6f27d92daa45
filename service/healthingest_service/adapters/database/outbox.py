"""The port `Outbox` on the database."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import bindparam, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.uploads.model import (
    Backlog,
    MessageId,
    OutgoingMessage,
    PutOffReason,
    UploadId,
    UploadState,
)
from healthingest_service.uploads.relay_ports import Outbox, OutboxBatch, PutOffMessage


class ClaimedMessages(OutboxBatch):
    """Messages that belong to one relay while its claim lasts, and what became of each."""

    def __init__(self, messages: Sequence[OutgoingMessage]) -> None:
        self._messages = messages
        self.announced_at: dict[MessageId, datetime] = {}
        self.put_off: dict[MessageId, tuple[datetime, PutOffReason]] = {}

    @property
    @override
    def messages(self) -> Sequence[OutgoingMessage]:
        return self._messages

    @override
    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        self.announced_at[message_id] = at

    @override
    async def failed(
        self, message_id: MessageId, *, retry_at: datetime, reason: PutOffReason
    ) -> None:
        self.put_off[message_id] = retry_at, reason


_MAX_COUNTED: Final = 1_000_000
"""More messages than this are counted as so many."""


class DatabaseOutbox(Outbox):
    """
    Messages in the table `outbox`.

    A claim is a time in the row, not an open transaction: a broker that answers slowly must not
    hold a connection, nor, on SQLite, the only write lock. A relay that dies gives its messages
    back when the claim has run out, at worst after *claim_seconds*.
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
        batch = ClaimedMessages(await self._take(limit))
        try:
            yield batch
        finally:  # a confirm is a fact whatever ended the work: recorded, it is not announced again
            if batch.messages:
                await self._settle(batch)

    @override
    async def backlog(self) -> Backlog:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            # From an index and in its order: every process asks every few seconds, and the table
            # may be large.
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

    async def put_off_counts(self) -> Mapping[PutOffReason, int]:
        """Return the number of deferred messages, by the reason of their last attempt."""
        reason = OutboxRow.put_off_reason
        wanted = select(reason, func.count()).where(reason.is_not(None)).group_by(reason)
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return {PutOffReason(name): count for name, count in await connection.execute(wanted)}

    async def put_off(self, *, limit: int) -> Sequence[PutOffMessage]:
        """Return the oldest deferred messages."""
        wanted = (
            select(OutboxRow)
            .where(OutboxRow.put_off_reason.is_not(None))
            .order_by(OutboxRow.created_at)
        )
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return [
                PutOffMessage(
                    UploadId(row.upload_id),
                    row.routing_key,
                    PutOffReason(row.put_off_reason),
                    row.attempts,
                    row.created_at,
                    row.due_at,
                )
                for row in await connection.execute(wanted.limit(limit))
            ]

    async def _take(self, limit: int) -> Sequence[OutgoingMessage]:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            now = self._clock()
            due = (
                select(OutboxRow)
                .where(
                    OutboxRow.due_at <= now,
                    or_(OutboxRow.claimed_until.is_(None), OutboxRow.claimed_until < now),
                )
                .order_by(
                    OutboxRow.due_at, OutboxRow.created_at
                )  # as the index has them: no sorting of all that is due
                .limit(limit)
                .with_for_update(skip_locked=True)
            )
            taken = [rows.message(row) for row in await connection.execute(due)]
            await connection.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_([message.id for message in taken]))
                .values(claimed_until=now + self._claim)
            )
            return taken

    async def _settle(self, batch: ClaimedMessages) -> None:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            announced = [message for message in batch.messages if message.id in batch.announced_at]
            if announced:
                await _remove(connection, announced, batch.announced_at)
            for message_id, (retry_at, reason) in batch.put_off.items():
                await connection.execute(
                    update(OutboxRow)
                    .where(OutboxRow.id == message_id)
                    .values(
                        due_at=retry_at,
                        attempts=OutboxRow.attempts + 1,
                        put_off_reason=reason.value,
                    )
                )
            await connection.execute(
                update(OutboxRow)
                .where(OutboxRow.id.in_([message.id for message in batch.messages]))
                .values(claimed_until=None)
            )


async def _remove(
    connection: AsyncConnection,
    messages: Sequence[OutgoingMessage],
    announced_at: Mapping[MessageId, datetime],
) -> None:
    """Two statements however many messages: one at a time would be slower than the broker."""
    await connection.execute(
        delete(OutboxRow).where(OutboxRow.id.in_([message.id for message in messages]))
    )
    await connection.execute(
        update(UploadRow)
        .where(UploadRow.id == bindparam("of_upload"), UploadRow.state == UploadState.STORED)
        .values(state=UploadState.ANNOUNCED, announced_at=bindparam("at")),
        [{"of_upload": message.upload_id, "at": announced_at[message.id]} for message in messages],
    )
