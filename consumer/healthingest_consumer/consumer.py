"""Yields announced uploads and erasures, one after the other."""

import logging
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from aio_pika.abc import AbstractIncomingMessage

from healthingest_consumer.errors import AlreadyProcessedError
from healthingest_consumer.files import Files, verified
from healthingest_consumer.outcomes import Outcomes
from healthingest_consumer.processed import Processed
from healthingest_consumer.queue import Deliveries, Queue
from healthingest_contract.events import UploadErased, UploadStored

_LOG: Final = logging.getLogger("healthingest.consumer")


@dataclass(slots=True)
class _Delivery:
    """A message with its key, and what became of it."""

    key: str
    processed: Processed
    is_recorded: bool = False
    is_rejected: bool = False
    reason: str = ""

    def transaction(self) -> AbstractAsyncContextManager[Any]:
        """
        Open a transaction in which the effect and the memory of it are one commit.

        It yields what the store of processed messages offers, such as a connection to its database.
        Use it once. Without it the message is recorded when the next one is asked for.

        Raises:
            AlreadyProcessedError: another consumer was faster; leave this message.
            ProcessedUnavailableError: unclear whether it was committed.
        """
        return self._once()

    @asynccontextmanager
    async def _once(self) -> AsyncIterator[Any]:
        async with self.processed.once(self.key) as transaction:
            yield transaction
        self.is_recorded = True

    def reject(self, reason: str = "rejected") -> None:
        """
        Send the message to the dead letters when the next one is asked for.

        *reason* is reported to the service: 1 to 64 characters of `a-z`, `0-9` and `-`, without
        contents of the file.
        """
        self.is_rejected = True
        self.reason = reason

    async def report(self) -> None:
        """Report the outcome, where that is wanted; it never raises."""


@dataclass(slots=True)
class Upload(_Delivery):
    """An announced upload. `event` is the message."""

    event: UploadStored = field(kw_only=True)
    files: Files = field(kw_only=True)
    outcomes: Outcomes | None = field(kw_only=True, default=None)

    async def report(self) -> None:
        """Report that the upload was processed or rejected; it never raises."""
        if self.outcomes is None:
            return
        if self.is_rejected:
            await self.outcomes.failed(self.event, self.reason)
        else:
            await self.outcomes.processed(self.event)

    def chunks(self) -> AsyncIterator[bytes]:
        """
        Yield the bytes of the file, verified: the last chunk comes after the hash was compared.

        Raises:
            FileGoneError: the file does not exist any more, or you may not read it.
            FileMismatchError: it has other bytes than were announced.
            FileUnavailableError: it cannot be read now.
        """
        return verified(self.files.read(self.event), self.event)

    async def content(self) -> bytes:
        """Return the whole file, verified; it raises what `chunks` raises."""
        return b"".join([chunk async for chunk in self.chunks()])

    def records(self) -> AsyncGenerator[dict[str, Any], None]:
        """
        Yield the records of the verified file as values; needs the package fastavro.

        It raises what `chunks` raises before the first record.

        Raises:
            RecordsUnreadableError: fastavro cannot read the file.
            ImportError: fastavro is not installed.
        """
        from healthingest_consumer.records import records  # noqa: PLC0415 - fastavro is optional

        return records(self.chunks())


@dataclass(slots=True)
class Erasure(_Delivery):
    """An erased upload: remove what you have derived from it. `event` is the message."""

    event: UploadErased = field(kw_only=True)


_Kind = TypeVar("_Kind", bound=_Delivery)


class Consumer:
    """
    Receives the messages of a queue: those about uploads, or those about erasures.

    A message is acknowledged when the next one is asked for, so the work on it is done by then. If
    the loop is left by an exception, the message is delivered again. Messages that were processed
    before are dropped, and those that are none of ours go to the dead letters. With *outcomes*,
    what became of an upload is reported after the effect, before the message is acknowledged.
    """

    def __init__(
        self,
        queue: Queue,
        *,
        files: Files,
        processed: Processed,
        outcomes: Outcomes | None = None,
    ) -> None:
        self._queue = queue
        self._files = files
        self._processed = processed
        self._outcomes = outcomes

    async def uploads(self) -> AsyncGenerator[Upload, None]:
        """Yield announced uploads for ever; connection losses are survived."""

        def made(message: AbstractIncomingMessage) -> Upload:
            event = UploadStored.from_bytes(message.body)
            return Upload(
                event.idempotency_key,
                self._processed,
                event=event,
                files=self._files,
                outcomes=self._outcomes,
            )

        async with aclosing(self._messages(made)) as messages:
            async for upload in messages:
                yield upload

    async def erasures(self) -> AsyncGenerator[Erasure, None]:
        """Yield erased uploads for ever; connection losses are survived."""

        def made(message: AbstractIncomingMessage) -> Erasure:
            event = UploadErased.from_bytes(message.body)
            return Erasure(f"erased:{event.upload_id}", self._processed, event=event)

        async with aclosing(self._messages(made)) as messages:
            async for erasure in messages:
                yield erasure

    async def _messages(
        self, made: Callable[[AbstractIncomingMessage], _Kind]
    ) -> AsyncGenerator[_Kind, None]:
        async with Deliveries(self._queue) as deliveries:
            async for message in deliveries:
                try:
                    delivery = made(message)
                except ValueError:
                    _LOG.warning("consumer rejected a message that is none of ours")
                    await deliveries.reject(message)
                    continue
                if not await self._processed.has(delivery.key):
                    yield delivery
                    if delivery.is_rejected:
                        await delivery.report()
                        await deliveries.reject(message)
                        continue
                    await _record(delivery)
                # Also for a repeat: the consumer may have ended between its effect and the report.
                await delivery.report()
                await deliveries.acknowledge(message)


async def _record(delivery: _Delivery) -> None:
    """Record an effect that was not part of a transaction."""
    if delivery.is_recorded:
        return
    try:
        async with delivery.processed.once(delivery.key):
            pass
    except AlreadyProcessedError:
        _LOG.info("another consumer has processed the same upload")
