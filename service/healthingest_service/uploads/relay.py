"""From the outbox to the broker, until the broker has confirmed."""

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
from healthingest_service.uploads.model import OutgoingMessage, PutOffReason
from healthingest_service.uploads.relay_alerts import RelayAlerts
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox, OutboxBatch
from healthingest_service.uploads.waiting import wait_for_any

_GATHER_SECONDS: Final = 0.05
"""
Rounds that are not full begin at most so often.

Under load one round takes what came meanwhile.
"""
_PROBE_SECONDS_MAX: Final = 5.0
"""
A broker or database that was gone is tried at least so often, with one message.

That costs little.
"""

_REASONS: Final[Mapping[type[PublishError], PutOffReason]] = {
    MessageUnroutableError: PutOffReason.UNROUTABLE,
    MessageRefusedError: PutOffReason.REFUSED,
    PublishError: PutOffReason.UNREACHABLE,
}


@dataclass(frozen=True, slots=True)
class RelayCounts:
    """What a relay has done since it began, by outcome."""

    announced: int = 0
    unroutable: int = 0
    refused: int = 0
    unreachable: int = 0
    ledger_unavailable: int = 0


@dataclass(slots=True)
class Round:
    """
    One claim on its way.

    `broker_answers` is False when the round ended early because the broker did not.
    """

    claimed: int
    announced: int = 0
    broker_answers: bool = True


class Relay:
    """
    Publishes what is due. Several relays may run: the outbox gives each its own messages.

    A message that the broker does not take waits longer each time, and never holds up the others.
    Up to *concurrency* wait for their confirms at once, begun oldest first.

    *written* is set by whoever knows that a message was written: then it is announced at once.
    Without, it is found at the next look, *idle_seconds* later at worst.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        outbox: Outbox,
        publisher: EventPublisher,
        clock: Callable[[], datetime],
        batch_size: int,
        concurrency: int,
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
        self._idle_seconds = idle_seconds
        self._backoff_seconds_min = backoff_seconds_min
        self._backoff_seconds_max = backoff_seconds_max
        self._written = asyncio.Event() if written is None else written
        self._counts = RelayCounts()
        self._confirmed_at: datetime | None = None
        self._failing_since: datetime | None = None
        self._without_ledger_since: datetime | None = None
        self._alerts = RelayAlerts()

    @property
    def counts(self) -> RelayCounts:
        """What was done so far."""
        return self._counts

    @property
    def confirmed_at(self) -> datetime | None:
        """When the broker last confirmed a message; None: it has not yet."""
        return self._confirmed_at

    @property
    def stalled_since(self) -> datetime | None:
        """
        Since when messages wait of which none is confirmed, or cannot be read.

        None: neither is so.
        """
        known = [
            since
            for since in (self._failing_since, self._without_ledger_since)
            if since is not None
        ]
        return min(known, default=None)

    async def drain_once(self) -> int:
        """
        Work on one batch; returns how many messages were confirmed.

        Raises:
            LedgerUnavailableError: what was confirmed may be announced again.
        """
        return (await self._drain(self._batch_size)).announced

    async def run(self, stop: asyncio.Event) -> None:
        """Drain until *stop* is set; the batch under way is finished first."""
        failures = 0
        while not stop.is_set():
            began = monotonic()
            limit = 1 if failures else self._batch_size
            self._written.clear()
            try:
                drained = await self._drain(limit)
            except LedgerUnavailableError:
                self._count("ledger_unavailable")
                self._without_ledger_since = self._without_ledger_since or self._clock()
                healthy = False
                more = False
            else:
                self._without_ledger_since = None
                healthy = drained.broker_answers
                more = drained.claimed == limit
            failures = 0 if healthy else failures + 1
            if failures:
                await wait_for_any(
                    stop, seconds=min(self._backoff_seconds(failures - 1), _PROBE_SECONDS_MAX)
                )
            elif not more:
                await wait_for_any(stop, seconds=began + _GATHER_SECONDS - monotonic())
                await wait_for_any(stop, self._written, seconds=self._idle_seconds)

    async def _drain(self, limit: int) -> Round:
        async with self._outbox.claim(limit=limit) as batch:
            current = Round(len(batch.messages))
            waiting = iter(batch.messages)
            async with asyncio.TaskGroup() as lanes:
                for _ in range(min(self._concurrency, current.claimed)):
                    lanes.create_task(self._lane(waiting, batch, current))
            return current

    async def _lane(
        self, waiting: Iterator[OutgoingMessage], batch: OutboxBatch, current: Round
    ) -> None:
        """One message after the other; *waiting* is shared, so each goes to one lane."""
        for message in waiting:
            try:
                confirmed = await self._publish(message, batch)
            except PublishError:
                current.broker_answers = False
            else:
                current.announced += (
                    confirmed  # read after the wait: other lanes have counted meanwhile
                )
            if not current.broker_answers:
                return  # the rest would wait for the same deadline

    async def _publish(self, message: OutgoingMessage, batch: OutboxBatch) -> bool:
        try:
            await self._publisher.publish(message)
        except PublishError as error:
            reason = next(reason for kind, reason in _REASONS.items() if isinstance(error, kind))
            self._count(reason.value)
            self._alerts.put_off(message, reason)
            self._failing_since = self._failing_since or self._clock()
            retry_at = self._clock() + timedelta(seconds=self._backoff_seconds(message.attempts))
            await batch.failed(message.id, retry_at=retry_at, reason=reason)
            if reason is PutOffReason.UNREACHABLE:
                raise
            return False
        self._confirmed_at = self._clock()
        self._failing_since = None
        await batch.announced(message.id, at=self._confirmed_at)
        self._count("announced")
        self._alerts.announced(message)
        return True

    def _count(self, outcome: str) -> None:
        self._counts = replace(self._counts, **{outcome: getattr(self._counts, outcome) + 1})

    def _backoff_seconds(self, attempts: int) -> float:
        """
        Doubles with each attempt up to the maximum.

        Half of it is random: relays must not march in step.
        """
        longest = min(
            self._backoff_seconds_max, self._backoff_seconds_min * 2.0 ** min(attempts, 32)
        )
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, guards nothing
