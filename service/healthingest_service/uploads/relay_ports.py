"""What the relay, and those who look after its outbox, need from outside; as in `ports`."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from healthingest_service.uploads.model import (
    Backlog,
    MessageId,
    OutgoingMessage,
    PutOffReason,
    Upload,
    UploadId,
)


class OutboxBatch(Protocol):
    """Messages that nobody else works on while the context lasts."""

    @property
    def messages(self) -> Sequence[OutgoingMessage]:
        """Oldest first; empty when there is nothing to do."""
        ...

    async def announced(self, message_id: MessageId, *, at: datetime) -> None:
        """The broker has confirmed it: its upload becomes `announced` when the context ends."""
        ...

    async def failed(
        self, message_id: MessageId, *, retry_at: datetime, reason: PutOffReason
    ) -> None:
        """It was not confirmed: it stays, and is not claimed again before *retry_at*."""
        ...


class Outbox(Protocol):
    """Messages that must still be announced."""

    def claim(self, *, limit: int) -> AbstractAsyncContextManager[OutboxBatch]:
        """
        Take up to *limit* messages that are due.

        Several relays never get the same one (`FOR UPDATE SKIP LOCKED`).

        What was reported to the batch is committed when the context ends, whatever ended it; what
        was not stays.

        Raises:
            LedgerUnavailableError: on entering or leaving; messages may then be announced twice,
                never lost.
        """
        ...

    async def backlog(self) -> Backlog:
        """
        How much is waiting.

        Raises:
            LedgerUnavailableError: it cannot be told.
        """
        ...


@dataclass(frozen=True, slots=True)
class PutOffMessage:
    """A message whose last attempt failed. `due_at` is when it is tried again."""

    upload_id: UploadId
    routing_key: str
    reason: PutOffReason
    attempts: int
    created_at: datetime
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplaySelection:
    """
    Which uploads.

    These ids, or those received from a time on and before another (both aware), perhaps of one
    type.

    Exactly one of the two is given.
    """

    ids: frozenset[UploadId] = frozenset()
    received_from: datetime | None = None
    received_before: datetime | None = None
    record_type: str | None = None


class Replays(Protocol):
    """Messages for those who need them again. Every method is one transaction."""

    async def page(
        self, selection: ReplaySelection, *, after: UploadId | None, limit: int
    ) -> Sequence[Upload]:
        """
        Uploads that are `stored` or `announced`, in the order of their ids, which is that of time.

        Raises:
            LedgerUnavailableError: it cannot be told.
        """
        ...

    async def put(self, messages: Sequence[OutgoingMessage]) -> int:
        """
        Put them into the outbox, but none about an upload of which one waits already.

        How many were put.

        Raises:
            LedgerUnavailableError: unclear; repeating puts at most one more about each upload.
        """
        ...


class EventPublisher(Protocol):
    """The way to the broker."""

    async def publish(self, message: OutgoingMessage) -> None:
        """
        Publish *message*.

        On return the broker answers for it: routed to at least one queue, persistent, confirmed.

        Publishing twice delivers twice; consumers drop repeats by the idempotency key.

        Raises:
            BrokerUnreachableError, MessageUnroutableError, MessageRefusedError: not confirmed.
        """
        ...
