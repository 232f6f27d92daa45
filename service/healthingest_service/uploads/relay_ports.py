"""The ports of the relay, of the backlog and of replays."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthingest_service.uploads.model import (
    Backlog,
    DeferralReason,
    MessageId,
    OutgoingMessage,
    Upload,
    UploadId,
)


class OutboxBatch(Protocol):
    """Messages that are claimed by one relay until the context ends."""

    @property
    def messages(self) -> Sequence[OutgoingMessage]:
        """The claimed messages, oldest first; may be empty."""
        ...

    @property
    def expires_at(self) -> datetime:
        """The end of the claim: from then on other relays and erasures may take the messages."""
        ...

    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        """Report a confirmed message; its upload becomes `announced` when the context ends."""
        ...

    async def failed(
        self, message_id: MessageId, *, retry_at: datetime, reason: DeferralReason
    ) -> None:
        """Report a failed attempt; the message cannot be claimed again before *retry_at*."""
        ...


class Outbox(Protocol):
    """The messages that must still be announced."""

    def claim(self, *, limit: int) -> AbstractAsyncContextManager[OutboxBatch]:
        """
        Claim up to *limit* due messages, which no other relay gets (`FOR UPDATE SKIP LOCKED`).

        The reports to the batch are committed when the context ends, also after an error. Messages
        without a report stay in the outbox.

        Raises:
            LedgerUnavailableError: on entering or leaving; messages may then be announced twice,
                but none is lost.
        """
        ...

    async def backlog(self) -> Backlog:
        """
        Return number and age of the waiting messages.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class DeferredMessage:
    """A message whose last attempt failed. The next attempt is at `due_at`."""

    upload_id: UploadId | None
    routing_key: str
    reason: DeferralReason
    attempts: int
    created_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySelection:
    """
    Selects uploads either by id, or by the time of receipt.

    The range is `received_from` <= time < `received_before`, both timezone-aware. `record_type`
    limits either selection to one record type.
    """

    ids: frozenset[UploadId] = frozenset()
    received_from: datetime | None = None
    received_before: datetime | None = None
    record_type: str | None = None


class Replays(Protocol):
    """Announcing uploads again. Every method is one transaction."""

    async def page(
        self, selection: ReplaySelection, *, after: UploadId | None, limit: int
    ) -> Sequence[Upload]:
        """
        Return selected uploads in state `stored` or `announced`, with ids greater than *after*.

        They are in the order of their ids, which is that of time; at most *limit*.

        Raises:
            LedgerUnavailableError: the database cannot be read.
        """
        ...

    async def put(self, messages: Sequence[OutgoingMessage]) -> int:
        """
        Put messages into the outbox; returns how many were put.

        A message is skipped if the outbox has a message about the same upload.

        Raises:
            LedgerUnavailableError: unclear whether they were put; repeating adds at most one more
                message for each upload.
        """
        ...


class EventPublisher(Protocol):
    """The publisher of messages to the broker."""

    async def publish(self, message: OutgoingMessage) -> None:
        """
        Publish *message*; on return it is routed to a queue, persistent, and confirmed.

        A message that is published twice is delivered twice; consumers drop repeats by the
        idempotency key.

        Raises:
            BrokerUnreachableError, MessageUnroutableError, MessageRefusedError: not confirmed.
        """
        ...
