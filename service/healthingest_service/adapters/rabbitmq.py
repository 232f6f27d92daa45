"""
The port `EventPublisher` with RabbitMQ.

After an error of the connection it is closed, and the next message opens a new one. The publisher
declares nothing: the operator owns the topology, and the relay needs no permission to change it.
The deadlines are `asyncio` timeouts, because those of the library do not hold under a memory alarm
(measured with aio-pika 10.2: opening a channel hung longer than its timeout).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic
from typing_extensions import override

from healthingest_contract.events import CONTENT_TYPE, EVENT_TYPE, EVENT_TYPE_HEADER
from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, tls_context
from healthingest_service.adapters.rabbitmq_channel import PublisherChannel
from healthingest_service.uploads.errors import (
    BrokerUnreachableError,
    MessageRefusedError,
    MessageUnroutableError,
)
from healthingest_service.uploads.model import OutgoingMessage
from healthingest_service.uploads.relay_ports import EventPublisher

_CLOSE_SECONDS: Final = 1.0
_HEARTBEAT_SECONDS: Final = 10


@asynccontextmanager
async def open_publisher(
    *, url: str, exchange: str, timeout_seconds: float, tls: TlsMaterial = NO_TLS_MATERIAL
) -> AsyncIterator["RabbitMQPublisher"]:
    """
    Open a publisher to *exchange*, which connects at the first message.

    *timeout_seconds* is the deadline of each call, including connecting.

    Raises:
        ValueError: *tls* is unusable.
    """
    publisher = RabbitMQPublisher(
        url=url, exchange=exchange, timeout_seconds=timeout_seconds, tls=tls
    )
    try:
        yield publisher
    finally:
        await publisher.disconnect()


@dataclass(slots=True)
class _Link:
    connection: AbstractConnection
    channel: PublisherChannel
    conversations: int = 0


class RabbitMQPublisher(EventPublisher):
    """A publisher with one connection and one channel; messages wait for confirms concurrently."""

    def __init__(
        self,
        *,
        url: str,
        exchange: str,
        timeout_seconds: float,
        tls: TlsMaterial = NO_TLS_MATERIAL,
    ) -> None:
        self._url = url
        self._context = tls_context(tls) if url.startswith("amqps:") else None
        self._exchange_name = exchange
        self._timeout_seconds = timeout_seconds
        self._connecting = asyncio.Lock()
        self._link: _Link | None = None

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        async with self._conversation() as channel:
            answer = await channel.publish(message.body, message.routing_key, _properties(message))
            if not isinstance(answer, Basic.Ack):  # the library should raise on anything else
                raise MessageRefusedError

    async def check(self) -> None:
        """
        Check that the broker accepts a connection; connects if there is none.

        Raises:
            BrokerUnreachableError: the broker does not answer within the deadline.
        """
        async with self._conversation():
            pass

    async def disconnect(self) -> None:
        """Close the connection if it is open; takes at most a second."""
        if self._link is not None:
            await self._drop(self._link)

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[PublisherChannel]:
        """Yield the channel, with a deadline and translated errors."""
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._in_use(await self._connected()) as channel,
            ):
                yield channel
        except PublishError as error:
            raise MessageUnroutableError from error
        except DeliveryError as error:
            raise MessageRefusedError from error
        except ChannelNotFoundEntity as error:  # no such exchange
            raise MessageUnroutableError from error
        except (TimeoutError, AMQPError, OSError, ChannelInvalidStateError) as error:
            raise BrokerUnreachableError from error
        except asyncio.CancelledError as error:
            if is_being_cancelled():
                raise
            # the library cancels its futures when a connection breaks
            raise BrokerUnreachableError from error

    @asynccontextmanager
    async def _in_use(self, link: _Link) -> AsyncIterator[PublisherChannel]:
        """
        Yield the channel of *link*, and decide what an error means for the connection.

        After a returned message (`PublishError`) the connection stays in use. After a nack it is
        not used for new messages, because a channel may refuse them even when the queue is no
        longer full (RabbitMQ 3.10, found by `make faults`). Any other error closes the connection,
        which ends all concurrent calls on it.
        """
        link.conversations += 1
        try:
            yield link.channel
        except PublishError:
            raise
        except (DeliveryError, MessageRefusedError):
            self._link = None if self._link is link else self._link
            raise
        except BaseException:
            await self._drop(link)
            raise
        finally:
            link.conversations -= 1
            if not link.conversations and self._link is not link:
                await _close(link.connection)

    async def _connected(self) -> _Link:
        async with self._connecting:
            if self._link is not None and not self._link.connection.is_closed:
                return self._link
            connection = await aio_pika.connect(
                self._url,
                ssl_context=self._context,
                timeout=self._timeout_seconds,
                heartbeat=_HEARTBEAT_SECONDS,
                client_properties={"connection_name": "healthingest-relay"},
            )
            try:
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
                publisher = PublisherChannel(
                    await channel.get_underlay_channel(), self._exchange_name
                )
            except BaseException:
                await _close(connection)
                raise
            self._link = _Link(connection, publisher)
            return self._link

    async def _drop(self, link: _Link) -> None:
        if self._link is link:  # else another call has dropped the link already
            self._link = None
            await _close(link.connection)


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()
    except (TimeoutError, AMQPError, OSError, ChannelInvalidStateError):
        return  # the connection is not used any more


def is_being_cancelled() -> bool:
    """Return whether the task is cancelled, and not a future of the library."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _properties(message: OutgoingMessage) -> Basic.Properties:
    return Basic.Properties(
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=dict(message.headers),
        message_id=str(message.id),
        timestamp=message.created_at,
        message_type=message.headers.get(EVENT_TYPE_HEADER, EVENT_TYPE),
    )
