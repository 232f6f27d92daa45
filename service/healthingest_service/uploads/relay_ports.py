"""What the relay needs from outside; as in `ports`."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

from healthingest_service.uploads.model import Backlog, MessageId, OutgoingMessage, PutOffReason


class OutboxBatch(Protocol):
    """Messages that nobody else works on while the context lasts."""

    @property
    def messages(self) -> Sequence[OutgoingMessage]:
        """Oldest first; empty when there is nothing to do."""
        ...

    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        """The broker has confirmed it: its upload becomes `announced` when the context ends."""
        ...

    async def failed(self, message_id: MessageId, *, retry_at: datetime, reason: PutOffReason) -> None:
        """It was not confirmed: it stays, and is not claimed again before *retry_at*."""
        ...


class Outbox(Protocol):
    """Messages that must still be announced."""

    def claim(self, *, limit: int) -> AbstractAsyncContextManager[OutboxBatch]:
        """
        Take up to *limit* messages that are due; several relays never get the same one (`FOR UPDATE SKIP LOCKED`).

        What was reported to the batch is committed when the context ends, whatever ended it; what was not stays.

        Raises:
            LedgerUnavailableError: on entering or leaving; messages may then be announced twice, never lost.
        """
        ...

    async def backlog(self) -> Backlog:
        """
        How much is waiting.

        Raises:
            LedgerUnavailableError: it cannot be told.
        """
        ...


class EventPublisher(Protocol):
    """The way to the broker."""

    async def publish(self, message: OutgoingMessage) -> None:
        """
        Publish *message*; on return the broker answers for it: routed to at least one queue, persistent, confirmed.

        Publishing twice delivers twice; consumers drop repeats by the idempotency key.

        Raises:
            BrokerUnreachableError, MessageUnroutableError, MessageRefusedError: not confirmed.
        """
        ...
