"""A consumer: it binds a queue, receives every message, and reconnects after a broker failure."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractIncomingMessage
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from healthingest_contract.events import UploadErased, UploadStored
from healthingest_contract.topology import (
    ALL_ERASURES_BINDING,
    ALL_UPLOADS_BINDING,
    DEFAULT_EXCHANGE,
    ERASED_ROUTING_KEY_PREFIX,
)
from support.faults.history import Heard
from support.servers.rabbitmq import RabbitMQServer

QUEUE = "processing"
GONE = (AMQPError, OSError, ChannelInvalidStateError, TimeoutError, RuntimeError)


@dataclass
class Consumer:
    """The received messages about uploads in their order, and the ids of erased uploads."""

    broker: RabbitMQServer
    heard: list[Heard] = field(default_factory=list)
    erased: set[str] = field(default_factory=set)

    def declare(self) -> None:
        """Declare exchange, queue and bindings as the operator does, with retries."""
        host = self.broker.virtual_host
        self.broker.call(
            "PUT", f"/api/exchanges/{host}/{DEFAULT_EXCHANGE}", {"type": "topic", "durable": True}
        )
        arguments = {"x-queue-type": "quorum"}
        self.broker.call(
            "PUT", f"/api/queues/{host}/{QUEUE}", {"durable": True, "arguments": arguments}
        )
        for key in (ALL_UPLOADS_BINDING, ALL_ERASURES_BINDING):
            self.broker.call("POST", self._binding(), {"routing_key": key})

    def unbind(self) -> None:
        """Remove the binding, so that messages cannot be routed."""
        self.broker.call("DELETE", f"{self._binding()}/{ALL_UPLOADS_BINDING.replace('#', '%23')}")

    def delete_exchange(self) -> None:
        """Delete the exchange to which the relay publishes."""
        self.broker.call("DELETE", f"/api/exchanges/{self.broker.virtual_host}/{DEFAULT_EXCHANGE}")

    def _binding(self) -> str:
        return f"/api/bindings/{self.broker.virtual_host}/e/{DEFAULT_EXCHANGE}/q/{QUEUE}"

    async def run(self) -> None:
        """Receive until cancelled."""
        while True:
            with suppress(*GONE):
                await self._hear()
            await asyncio.sleep(0.2)

    async def _hear(self) -> None:
        async with asyncio.timeout(5):
            connection = await aio_pika.connect(self.broker.amqp_url, timeout=5, heartbeat=5)
        try:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=500)
            queue = await channel.get_queue(QUEUE, ensure=False)
            await queue.consume(self._on_message)
            await channel.closed()
        finally:
            with suppress(*GONE):
                async with asyncio.timeout(1):
                    await connection.close()

    async def _on_message(self, message: AbstractIncomingMessage) -> None:
        if (message.routing_key or "").startswith(ERASED_ROUTING_KEY_PREFIX):
            self.erased.add(str(UploadErased.from_bytes(message.body).upload_id))
        else:
            event = UploadStored.from_bytes(message.body)
            self.heard.append(
                Heard(event.idempotency_key, str(event.user_id), event.file_hash, event.key)
            )
        await message.ack()
