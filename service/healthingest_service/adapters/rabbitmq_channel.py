"""
A channel of the RabbitMQ client that writes the messages of concurrent calls together.

`Channel.basic_publish` of the library (aiormq 7.2) encodes and writes one message at a time, and
waits until the socket has taken it before the next one. This module numbers and encodes messages
itself; the library reads confirms and returned messages.
"""

import asyncio
from typing import TYPE_CHECKING, cast

from aiormq.abc import AbstractChannel, ChannelFrame, ConfirmationFrameType
from aiormq.exceptions import ChannelInvalidStateError
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.frame import FrameTypes, marshal
from pamqp.header import ContentHeader

if TYPE_CHECKING:
    from aiormq.channel import Channel


class PublisherChannel:
    """
    Publishes to one exchange, with confirms and with the flag `mandatory`.

    Nothing else may publish on *channel*: the broker counts messages in the order in which they are
    written, and its confirms name these numbers only.
    """

    def __init__(self, channel: AbstractChannel, exchange: str) -> None:
        self._channel = cast("Channel", channel)  # its abstract class does not know confirms
        self._exchange = exchange
        self._unwritten: list[bytes] = []
        self._is_writing = False
        self._is_broken = False

    async def publish(
        self, body: bytes, routing_key: str, properties: Basic.Properties
    ) -> ConfirmationFrameType:
        """
        Publish a message, which has a `message_id`, and return the confirm of the broker.

        The messages of concurrent calls are written together, in the order of the calls.

        Raises:
            PublishError: the message was returned, because no queue is bound.
            DeliveryError: a queue refused the message.
            ChannelInvalidStateError: the channel is closed.
            AMQPError: the broker closed the channel or the connection.
        """
        encoded = self._encoded(body, routing_key, properties)
        if self._channel.is_closed or self._is_broken:
            raise ChannelInvalidStateError
        confirm = self._numbered(str(properties.message_id))
        self._unwritten.append(encoded)
        if not self._is_writing:
            await self._write()
        try:
            return await confirm
        except Exception as error:
            if type(error) is Exception:  # the library's reason if a connection was closed by us
                raise ChannelInvalidStateError from error
            raise

    def _encoded(self, body: bytes, routing_key: str, properties: Basic.Properties) -> bytes:
        limit = self._channel.max_content_size
        frames: list[FrameTypes] = [
            Basic.Publish(exchange=self._exchange, routing_key=routing_key, mandatory=True),
            ContentHeader(properties=properties, body_size=len(body)),
            *(ContentBody(body[at : at + limit]) for at in range(0, len(body), limit)),
        ]
        return b"".join(marshal(frame, self._channel.number) for frame in frames)

    def _numbered(self, message_id: str) -> "asyncio.Future[ConfirmationFrameType]":
        """Give the next number to a message; the future gets its confirm."""
        channel = self._channel
        channel.delivery_tag += 1
        confirm: asyncio.Future[ConfirmationFrameType] = channel.create_future()
        channel.confirmations[channel.delivery_tag] = confirm
        channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        confirm.add_done_callback(lambda _: channel.message_id_delivery_tag.pop(message_id, None))
        return confirm

    async def _write(self) -> None:
        """Write what concurrent calls have added, in one piece."""
        self._is_writing = True
        try:
            await asyncio.sleep(0)  # further calls of this moment add their messages
            while self._unwritten:
                payload = b"".join(self._unwritten)
                self._unwritten.clear()
                await self._channel.write_queue.put(
                    ChannelFrame(payload=payload, should_close=False)
                )
        except BaseException:
            # Messages that were numbered are not written. A confirm of a later one would be taken
            # for theirs.
            self._is_broken = True
            raise
        self._is_writing = False
