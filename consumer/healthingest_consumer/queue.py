"""
One queue of RabbitMQ, with reconnects.

The deadlines are `asyncio` timeouts, because those of the library do not hold under a memory alarm.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

_HEARTBEAT_SECONDS: Final = 10
_PAUSE_SECONDS: Final = (0.5, 30.0)
"""The first and the longest pause before a connection is tried again."""
GONE: Final = (AMQPError, ChannelInvalidStateError, OSError, TimeoutError, RuntimeError)
"""What the library raises when a connection is lost; it closes streams with RuntimeError."""
_LOG: Final = logging.getLogger("healthingest.consumer")


@dataclass(frozen=True, slots=True)
class Queue:
    """
    Address and name of a queue.

    `prefetch` messages are received ahead; they are held by this consumer until it is done with
    them. `timeout_seconds` is the deadline of connecting, and of each acknowledgement.
    """

    url: str = field(repr=False)
    name: str
    prefetch: int = 10
    timeout_seconds: float = 10.0


class Deliveries:
    """The messages of a queue, one after the other. Use it as a context."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._connection: AbstractConnection | None = None

    async def __aenter__(self) -> "Deliveries":  # noqa: PYI034 - not made to be inherited
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self._disconnect()

    async def __aiter__(self) -> AsyncIterator[AbstractIncomingMessage]:
        """Yield messages, and connect again whenever the connection is lost."""
        failures = 0
        while True:
            try:
                async for message in self._messages():
                    failures = 0
                    yield message
            except GONE as error:
                _LOG.warning("consumer disconnected: %s", type(error).__name__)
            await self._disconnect()
            await asyncio.sleep(_pause_seconds(failures))
            failures += 1

    async def _messages(self) -> AsyncIterator[AbstractIncomingMessage]:
        async with asyncio.timeout(self._queue.timeout_seconds):
            connection = await aio_pika.connect(self._queue.url, heartbeat=_HEARTBEAT_SECONDS)
            self._connection = connection
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=self._queue.prefetch)
            queue = await channel.get_queue(self._queue.name, ensure=False)
        async with queue.iterator() as messages:
            async for message in messages:
                yield message

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*GONE):
                async with asyncio.timeout(self._queue.timeout_seconds):
                    await connection.close()

    async def acknowledge(self, message: AbstractIncomingMessage) -> None:
        """Acknowledge *message*. If the connection is lost, it is delivered again, and dropped."""
        with suppress(*GONE):
            async with asyncio.timeout(self._queue.timeout_seconds):
                await message.ack()

    async def reject(self, message: AbstractIncomingMessage) -> None:
        """Send *message* to the dead letters."""
        with suppress(*GONE):
            async with asyncio.timeout(self._queue.timeout_seconds):
                await message.reject(requeue=False)


def _pause_seconds(failures: int) -> float:
    first, longest = _PAUSE_SECONDS
    pause: float = min(longest, first * 2 ** min(failures, 10))
    return pause * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load
