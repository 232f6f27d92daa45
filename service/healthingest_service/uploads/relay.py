"""The relay: publishes the messages of the outbox until the broker has confirmed them."""

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final

from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    MessageRefusedError,
    MessageUnroutableError,
    PublishError,
)
from healthingest_service.uploads.model import DeferralReason, OutgoingMessage
from healthingest_service.uploads.relay_alerts import RelayAlerts
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox, OutboxBatch
from healthingest_service.uploads.waiting import wait_for_any

_GATHER_SECONDS: Final = 0.05
"""Minimum time between batches that are not full, so that under load batches fill up."""
_PROBE_SECONDS_MAX: Final = 5.0
"""Longest time between two attempts, with one message, while broker or database fail."""

_REASONS: Final[Mapping[type[PublishError], DeferralReason]] = {
    MessageUnroutableError: DeferralReason.UNROUTABLE,
    MessageRefusedError: DeferralReason.REFUSED,
    PublishError: DeferralReason.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class RelayCounts:
    """Counts of attempts since the relay started, by outcome."""

    announced: int = 0
    unroutable: int = 0
    refused: int = 0
    unreachable: int = 0
    database_unavailable: int = 0


@dataclass(slots=True)
class Batch:
    """
    The result of one batch, in numbers of messages.

    `broker_answers` is False if the batch ended early because the broker did not answer.
    """

    claimed: int
    announced: int = 0
    broker_answers: bool = True


class Relay:
    """
    Publishes the due messages of the outbox. Several relays may run; a message is claimed by one.

    A message that the broker does not confirm is deferred, longer after each attempt, and does not
    delay the others. Messages are published oldest first; up to *concurrency* of them wait for
    their confirm at once. None is published less than *publish_seconds*, the deadline of the
    broker, before its claim ends: its upload could be erased before it arrives.

    The event *written* signals a new message, which is then announced at once. Without it, the
    relay reads the outbox every *idle_seconds*.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        outbox: Outbox,
        publisher: EventPublisher,
        clock: Callable[[], datetime],
        batch_size: int,
        concurrency: int,
        publish_seconds: float,
        idle_seconds: float,
        backoff_seconds_min: float,
        backoff_seconds_max: float,
        written: asyncio.Event | None = None,
    ) -> None:
        self._outbox = outbox
        self._publisher = publisher
        self._clock = clock
        self._batch_size = batch_size
        self._concurrency = concurrency
        self._publishing = timedelta(seconds=publish_seconds)
        self._idle_seconds = idle_seconds
        self._backoff_seconds_min = backoff_seconds_min
        self._backoff_seconds_max = backoff_seconds_max
        self._written = asyncio.Event() if written is None else written
        self._counts = RelayCounts()
        self._confirmed_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._database_lost_since: datetime | None = None
        self._alerts = RelayAlerts()

    @property
    def counts(self) -> RelayCounts:
        """The counts since the relay started."""
        return self._counts

    @property
    def confirmed_at(self) -> datetime | None:
        """When the broker last confirmed a message; None before the first confirm."""
        return self._confirmed_at

    @property
    def stalled_since(self) -> datetime | None:
        """Since when no message was confirmed, or the outbox could not be read; None if healthy."""
        known = [
            since for since in (self._failing_since, self._database_lost_since) if since is not None
        ]
        return min(known, default=None)

    async def run(self, stop: asyncio.Event) -> None:
        """Announce batches until *stop* is set; a batch in progress is finished first."""
        failures = 0
        while not stop.is_set():
            began = monotonic()
            limit = 1 if failures else self._batch_size
            self._written.clear()
            try:
                batch = await self.announce_batch(limit)
            except LedgerUnavailableError:
                self._count("database_unavailable")
                self._database_lost_since = self._database_lost_since or self._clock()
                healthy = False
                more = False
            else:
                self._database_lost_since = None
                healthy = batch.broker_answers
                more = batch.claimed == limit
            failures = 0 if healthy else failures + 1
            if failures:
                await wait_for_any(
                    stop, seconds=min(self._backoff_seconds(failures - 1), _PROBE_SECONDS_MAX)
                )
            elif not more:
                await wait_for_any(stop, seconds=began + _GATHER_SECONDS - monotonic())
                await wait_for_any(stop, self._written, seconds=self._idle_seconds)

    async def announce_batch(self, limit: int) -> Batch:
        """
        Claim and publish up to *limit* due messages.

        Raises:
            LedgerUnavailableError: confirmed messages may be announced again.
        """
        async with self._outbox.claim(limit=limit) as claim:
            batch = Batch(len(claim.messages))
            waiting = iter(claim.messages)
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self._concurrency, batch.claimed)):
                    lanes.create_task(self._lane(waiting, claim, batch))
            return batch

    async def _lane(
        self, waiting: Iterator[OutgoingMessage], claim: OutboxBatch, batch: Batch
    ) -> None:
        """Publish messages one after the other; all lanes share the iterator *waiting*."""
        latest = claim.expires_at - self._publishing
        for message in waiting:
            if self._clock() >= latest:  # the process stood still, or the broker is slow
                return
            try:
                confirmed = await self._publish(message, claim)
            except PublishError:
                batch.broker_answers = False
            else:
                batch.announced += confirmed  # no await within: other lanes count here, too
            if not batch.broker_answers:
                return  # the other messages would wait for the same deadline

    async def _publish(self, message: OutgoingMessage, claim: OutboxBatch) -> bool:
        try:
            await self._publisher.publish(message)
        except PublishError as error:
            reason = next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))
            self._count(reason.value)
            self._alerts.deferred(message, reason)
            self._failing_since = self._failing_since or self._clock()
            retry_at = self._clock() + timedelta(seconds=self._backoff_seconds(message.attempts))
            await claim.failed(message.id, retry_at=retry_at, reason=reason)
            if reason is DeferralReason.UNREACHABLE:
                raise
            return False
        self._confirmed_at = self._clock()
        self._failing_since = None
        await claim.announced(message.id, at=self._confirmed_at)
        self._count("announced")
        self._alerts.announced(message)
        return True

    def _count(self, outcome: str) -> None:
        self._counts = replace(self._counts, **{outcome: getattr(self._counts, outcome) + 1})

    def _backoff_seconds(self, attempts: int) -> float:
        """
        Return the delay after *attempts* failures; it doubles with each, up to the maximum.

        Half of the delay is random, so that relays do not retry at the same time.
        """
        longest = min(
            self._backoff_seconds_max, self._backoff_seconds_min * 2.0 ** min(attempts, 32)
        )
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
