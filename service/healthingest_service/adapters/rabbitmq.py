"""
The port `EventPublisher` on RabbitMQ.

A plain connection, thrown away on any error and made anew at the next message: nothing of a broken
one can be waited for. Nothing is declared: the operator owns the topology, and the relay needs no
right to change it. Deadlines are our own: under a memory alarm the library's do not hold (measured
with aio-pika 10.2: opening a channel hung past its own).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange
from aiormq.exceptions import (
    AMQPError,
    ChannelInvalidStateError,
    ChannelNotFoundEntity,
    DeliveryError,
    PublishError,
)
from pamqp.commands import Basic
from typing_extensions import override

from healthingest_contract.events import CONTENT_TYPE, EVENT_TYPE
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
    *, url: str, exchange: str, timeout_seconds: float
) -> AsyncIterator["RabbitMQPublisher"]:
    """
    A publisher to *exchange*; it connects at the first message.

    *timeout_seconds* bounds each call as a whole.
    """
    publisher = RabbitMQPublisher(url=url, exchange=exchange, timeout_seconds=timeout_seconds)
    try:
        yield publisher
    finally:
        await publisher.disconnect()


@dataclass(slots=True)
class _Link:
    connection: AbstractConnection
    exchange: AbstractExchange
    conversations: int = 0


class RabbitMQPublisher(EventPublisher):
    """One connection, one channel with confirms; many messages may wait for theirs at once."""

    def __init__(self, *, url: str, exchange: str, timeout_seconds: float) -> None:
        self._url = url
        self._exchange_name = exchange
        self._timeout_seconds = timeout_seconds
        self._connecting = asyncio.Lock()
        self._link: _Link | None = None

    @override
    async def publish(self, message: OutgoingMessage) -> None:
        async with self._conversation() as exchange:
            answer = await exchange.publish(_amqp(message), message.routing_key, mandatory=True)
            if not isinstance(
                answer, Basic.Ack
            ):  # the library promises it; we promise it to others
                raise MessageRefusedError

    async def check(self) -> None:
        """
        Whether the broker talks to us; connects if need be.

        Raises:
            BrokerUnreachableError: it does not.
        """
        async with self._conversation():
            pass

    async def disconnect(self) -> None:
        """Close the connection, if there is one; takes a second at most."""
        if self._link is not None:
            await self._drop(self._link)

    @asynccontextmanager
    async def _conversation(self) -> AsyncIterator[AbstractExchange]:
        """Within the deadline, failures in our words."""
        try:
            async with (
                asyncio.timeout(self._timeout_seconds),
                self._in_use(await self._connected()) as exchange,
            ):
                yield exchange
        except PublishError as error:
            raise MessageUnroutableError from error
        except DeliveryError as error:
            raise MessageRefusedError from error
        except ChannelNotFoundEntity as error:  # no such exchange
            raise MessageUnroutableError from error
        except (TimeoutError, AMQPError, OSError, ChannelInvalidStateError) as error:
            raise BrokerUnreachableError from error
        except asyncio.CancelledError as error:
            if _is_being_cancelled():
                raise
            # the library cancels its futures when a connection breaks
            raise BrokerUnreachableError from error

    @asynccontextmanager
    async def _in_use(self, link: _Link) -> AsyncIterator[AbstractExchange]:
        """
        One conversation on *link*, of perhaps many.

        A message returned is an answer and leaves the connection alone. After a refusal it is not
        used for new messages: a channel's memory of a full quorum queue can outlive the fullness
        (RabbitMQ 3.10, met by `make faults`). Whatever else happens ends it, and with it the other
        conversations on it.
        """
        link.conversations += 1
        try:
            yield link.exchange
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
                timeout=self._timeout_seconds,
                heartbeat=_HEARTBEAT_SECONDS,
                client_properties={"connection_name": "healthingest-relay"},
            )
            try:
                channel = connection.channel(publisher_confirms=True, on_return_raises=True)
                await channel.initialize()
                exchange = await channel.get_exchange(self._exchange_name, ensure=False)
            except BaseException:
                await _close(connection)
                raise
            self._link = _Link(connection, exchange)
            return self._link

    async def _drop(self, link: _Link) -> None:
        if (
            self._link is link
        ):  # else another conversation has dropped it, and a new one may be in use
            self._link = None
            await _close(link.connection)


async def _close(connection: AbstractConnection) -> None:
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()
    except (TimeoutError, AMQPError, OSError, ChannelInvalidStateError):
        return  # it was given up already


def _is_being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _amqp(message: OutgoingMessage) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        content_type=CONTENT_TYPE,
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        headers=dict(message.headers),
        message_id=str(message.id),
        timestamp=message.created_at,
        type=EVENT_TYPE,
    )
