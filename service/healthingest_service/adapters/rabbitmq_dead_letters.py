"""
The port `DeadLetters` with RabbitMQ.

Two logins: one that may read the dead letters, as consumers may, and that of the relay, which may
publish. Messages are received without acknowledgement, and returned at the end. RabbitMQ counts
each return as a delivery, so a queue with a delivery limit would lose them after some looks; the
operator declares queues of dead letters practically without one (`dead_queue_definition`).
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import (
    AMQPError,
    ChannelAccessRefused,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
)
from typing_extensions import override

from healthingest_contract.events import TRACEPARENT, UploadErased, UploadStored
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, tls_context
from healthingest_contract.topology import dead_letter_queue
from healthingest_service.adapters.rabbitmq import is_being_cancelled
from healthingest_service.uploads.dead_letters import (
    BrokerFailedError,
    DeadLetter,
    DeadLetterPage,
    DeadLetters,
    DeadLetterSelection,
    NotPermittedError,
    QueueNotFoundError,
    Settled,
)

_HEARTBEAT_SECONDS: Final = 10
_BATCH: Final = 250
"""Messages whose confirms are awaited together."""
_CLOUD_EVENTS: Final = "cloudEvents:"
_MAX_HEADER_CHARACTERS: Final = 512
_DEATHS: Final = "x-death"
_OF_THE_BROKER: Final = (_DEATHS, "x-first-death-", "x-last-death-", "x-delivery-count")
"""
Beginnings of headers that the broker has added (RabbitMQ docs, "Dead Letter Exchanges", "Quorum
Queues"). A message that is published again begins anew.
"""
_FAILURES: Final = (TimeoutError, AMQPError, OSError, ChannelInvalidStateError)


@dataclass(frozen=True, slots=True, kw_only=True)
class RabbitMQDeadLetters(DeadLetters):
    """
    The dead letters of *queue*.

    *reader_url* is the address with a login that may read them, *publisher_url* one with a login
    that may publish. *timeout_seconds* is the deadline of each call.
    """

    queue: str
    reader_url: str = field(repr=False)
    publisher_url: str = field(repr=False)
    timeout_seconds: float
    tls: TlsMaterial = field(default=NO_TLS_MATERIAL, repr=False)

    @override
    async def peek(self, selection: DeadLetterSelection, *, limit: int) -> DeadLetterPage:
        letters = []
        async with self._reading(limit) as reading:
            async for message in reading.messages():
                letter = dead_letter(message, self.queue)
                if selection.has(letter):
                    letters.append(letter)
        return DeadLetterPage(reading.waiting, reading.looked_at, letters)

    @override
    async def redrive(self, selection: DeadLetterSelection, *, limit: int) -> Settled:
        refused = settled = 0
        async with self._reading(limit) as reading, self._publishing() as channel:
            async for batch in self._batches(reading, selection):
                done = await _all(self._redriven(channel, one) for one in batch)
                settled += done.count(True)
                refused += done.count(False)
        return Settled(reading.waiting, reading.looked_at, settled, refused)

    @override
    async def drop(self, selection: DeadLetterSelection, *, limit: int) -> Settled:
        settled = 0
        async with self._reading(limit) as reading:
            async for batch in self._batches(reading, selection):
                settled += len(await _all(self._removed(one) for one in batch))
        return Settled(reading.waiting, reading.looked_at, settled, 0)

    async def _batches(
        self, reading: "_Reading", selection: DeadLetterSelection
    ) -> AsyncIterator[list[AbstractIncomingMessage]]:
        """Yield selected messages; ids in a batch differ, because returns are matched by id."""
        batch: dict[object, AbstractIncomingMessage] = {}
        async for message in reading.messages():
            if not selection.has(dead_letter(message, self.queue)):
                continue
            key = message.message_id or message.delivery_tag
            if key in batch or len(batch) == _BATCH:
                yield list(batch.values())
                batch = {}
            batch[key] = message
        if batch:
            yield list(batch.values())

    async def _redriven(self, channel: AbstractChannel, message: AbstractIncomingMessage) -> bool:
        """Publish a message and then remove it; returns False if it could not be published."""
        letter = dead_letter(message, self.queue)
        if letter.exchange is None:
            return False
        try:
            async with asyncio.timeout(self.timeout_seconds):
                exchange = (
                    await channel.get_exchange(letter.exchange, ensure=False)
                    if letter.exchange
                    else channel.default_exchange
                )
                await exchange.publish(_again(message), letter.routing_key, mandatory=True)
        except DeliveryError:  # returned or not confirmed: it stays where it is
            return False
        return await self._removed(message)

    async def _removed(self, message: AbstractIncomingMessage) -> bool:
        async with asyncio.timeout(self.timeout_seconds):
            await message.ack()
        return True

    @asynccontextmanager
    async def _reading(self, limit: int) -> AsyncIterator["_Reading"]:
        """Open a reader of the queue, which gives back what it did not settle."""
        async with _translated(), AsyncExitStack() as stack:
            async with asyncio.timeout(self.timeout_seconds):
                connection = await self._connected(self.reader_url, stack)
                channel = await connection.channel()
                # Held messages count, so the prefetch is the number of those that are looked at.
                await channel.set_qos(prefetch_count=limit)
                queue = await channel.declare_queue(dead_letter_queue(self.queue), passive=True)
                reading = _Reading(
                    waiting=queue.declaration_result.message_count or 0,
                    limit=limit,
                    timeout_seconds=self.timeout_seconds,
                )
                tag = await queue.consume(reading.inbox.put)
            yield reading
            async with asyncio.timeout(self.timeout_seconds):
                await queue.cancel(tag)
                await (await channel.get_underlay_channel()).basic_nack(0, multiple=True)

    @asynccontextmanager
    async def _publishing(self) -> AsyncIterator[AbstractChannel]:
        async with AsyncExitStack() as stack:
            async with asyncio.timeout(self.timeout_seconds):
                connection = await self._connected(self.publisher_url, stack)
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
            yield channel

    async def _connected(self, url: str, stack: AsyncExitStack) -> AbstractConnection:
        connection = await aio_pika.connect(
            url,
            ssl_context=tls_context(self.tls) if url.startswith("amqps:") else None,
            timeout=self.timeout_seconds,
            heartbeat=_HEARTBEAT_SECONDS,
            client_properties={"connection_name": "healthingest-admin"},
        )
        stack.push_async_callback(self._close, connection)
        return connection

    async def _close(self, connection: AbstractConnection) -> None:
        try:
            async with asyncio.timeout(self.timeout_seconds):
                await connection.close()
        except _FAILURES:
            return  # the broker gives back what was not settled when the connection is lost


@dataclass(slots=True)
class _Reading:
    """The messages that come, and how many there were at the beginning."""

    waiting: int
    limit: int
    timeout_seconds: float
    inbox: "asyncio.Queue[AbstractIncomingMessage]" = field(default_factory=asyncio.Queue)
    looked_at: int = 0

    async def messages(self) -> AsyncIterator[AbstractIncomingMessage]:
        """
        Yield the messages that waited at the beginning, not those that come meanwhile.

        Raises:
            TimeoutError: fewer come, because another reader has them, or none does.
        """
        while self.looked_at < min(self.waiting, self.limit):
            async with asyncio.timeout(self.timeout_seconds):
                message = await self.inbox.get()
            self.looked_at += 1
            yield message


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except ChannelNotFoundEntity as error:
        raise QueueNotFoundError from error
    except ChannelAccessRefused as error:
        raise NotPermittedError from error
    except _FAILURES as error:
        raise BrokerFailedError from error
    except asyncio.CancelledError as error:
        if is_being_cancelled():
            raise
        # the library cancels its futures when a connection breaks
        raise BrokerFailedError from error


async def _all(work: Iterable[Awaitable[bool]]) -> list[bool]:
    """Await all, and then raise the first error."""
    done = await asyncio.gather(*work, return_exceptions=True)
    results = []
    for one in done:
        if isinstance(one, BaseException):
            raise one
        results.append(one)
    return results


def dead_letter(message: AbstractIncomingMessage, queue: str) -> DeadLetter:
    """Return what may be shown of a message that is a dead letter of *queue*."""
    death = _newest_death(message.headers.get(_DEATHS), queue)
    exchange, routing_key = _origin(death)
    count = death.get("count")
    return DeadLetter(
        id=message.message_id,
        upload_id=_upload_id(message.body),
        type=message.type,
        exchange=exchange,
        routing_key=routing_key or message.routing_key or "",
        reason=str(death.get("reason", "unknown")),
        deaths=count if isinstance(count, int) else 0,
        died_at=_utc(death.get("time")),
        published_at=_utc(message.timestamp),
        size_bytes=len(message.body),
        headers=_shown(message.headers),
    )


def _newest_death(deaths: object, queue: str) -> Mapping[str, Any]:
    """Return the newest entry of `x-death` about *queue*; the newest comes first."""
    entries = deaths if isinstance(deaths, list) else []
    found = (one for one in entries if isinstance(one, dict) and one.get("queue") == queue)
    return next(found, {})


def _origin(death: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Return exchange and routing key of the publication; None: the broker has not noted them."""
    match death:
        case {"exchange": str(exchange), "routing-keys": [str(key), *_]}:
            return exchange, key
        case _:
            return None, None


def _upload_id(body: bytes) -> str | None:
    """Return the id of the upload that a message is about, if it is one of ours."""
    try:
        return UploadStored.from_bytes(body).idempotency_key
    except ValueError:
        pass
    try:
        return str(UploadErased.from_bytes(body).upload_id)
    except ValueError:
        return None


def _shown(headers: Mapping[str, object]) -> dict[str, str]:
    """Return the headers that the product defines; others could have anything in them."""
    return {
        name: value[:_MAX_HEADER_CHARACTERS]
        for name, value in headers.items()
        if isinstance(value, str) and (name.startswith(_CLOUD_EVENTS) or name == TRACEPARENT)
    }


def _utc(at: object) -> datetime | None:
    if not isinstance(at, datetime):
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _again(message: AbstractIncomingMessage) -> aio_pika.Message:
    """Return the message as it was published first; the broker checks `user_id`, so it goes."""
    return aio_pika.Message(
        message.body,
        headers=_own(message.headers.items()),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        priority=message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def _own(headers: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    return {name: value for name, value in headers if not name.startswith(_OF_THE_BROKER)}
