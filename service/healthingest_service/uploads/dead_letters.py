"""The dead letters of a queue: what an administrator sees of them, and does with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol


class DeadLetterError(Exception):
    """The base class of errors of dead letters; the command alone meets them."""


class QueueNotFoundError(DeadLetterError):
    """The broker has no such queue."""


class NotPermittedError(DeadLetterError):
    """The broker user may not read the queue, or may not publish to the exchange."""


class BrokerFailedError(DeadLetterError):
    """The broker cannot be reached, or gave no answer within the deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """
    A message that consumers of a queue could not process, without its contents.

    `id` is the message's own, `upload_id` that of the upload, or None for a message of somebody
    else. `reason` is the broker's: `rejected`, `delivery_limit`, `expired` or `maxlen`. `exchange`
    and `routing_key` are those of the first publication; `exchange` is None if the broker has not
    noted them. `deaths` counts how often it came from this queue. Headers are those of the product.
    """

    id: str | None
    upload_id: str | None
    type: str | None
    exchange: str | None
    routing_key: str
    reason: str
    deaths: int
    died_at: datetime | None
    published_at: datetime | None
    size_bytes: int
    headers: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True)
class DeadLetterSelection:
    """
    Which dead letters: those with one of `ids`, or all if it is empty.

    With `reason` only those that came for it.
    """

    ids: frozenset[str] = frozenset()
    reason: str | None = None

    def has(self, letter: DeadLetter) -> bool:
        """Return whether *letter* is selected."""
        is_named = not self.ids or letter.id in self.ids
        return is_named and self.reason in {None, letter.reason}


@dataclass(frozen=True, slots=True)
class DeadLetterPage:
    """The selected letters, and how many the queue had: `looked_at` of them were looked at."""

    waiting: int
    looked_at: int
    letters: Sequence[DeadLetter]


@dataclass(frozen=True, slots=True)
class Settled:
    """
    The result of a redrive or drop.

    `settled` selected letters left the queue. `refused` are still there, because the broker did not
    accept them, or has not noted where they came from.
    """

    waiting: int
    looked_at: int
    settled: int
    refused: int


class DeadLetters(Protocol):
    """
    The dead letters of one queue, oldest first.

    Each method looks at up to *limit* of those that wait when it begins. They are back in the queue
    when it ends, except those that were settled; until then no other reader gets them.

    Raises:
        QueueNotFoundError, NotPermittedError, BrokerFailedError: those that were settled before
            stay settled, and the others stay in the queue.
    """

    async def peek(self, selection: DeadLetterSelection, *, limit: int) -> DeadLetterPage:
        """Return the selected letters; nothing is changed."""
        ...

    async def redrive(self, selection: DeadLetterSelection, *, limit: int) -> Settled:
        """
        Publish the selected letters again where they came from, and remove them.

        A letter is removed after the broker has confirmed the new message. So a failure in between
        leaves both, and none is lost. All queues that are bound get the message.
        """
        ...

    async def drop(self, selection: DeadLetterSelection, *, limit: int) -> Settled:
        """Remove the selected letters for ever."""
        ...
