"""A queue with announcements, for tests of consumers."""

import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import quote
from uuid import UUID, uuid4

import aio_pika

from healthingest_consumer import FileGoneError, Files, Queue
from healthingest_contract.events import UploadErased, UploadStored
from support.servers.process import wait_until
from support.servers.rabbitmq import RabbitMQServer

CONTENT = bytes(range(256)) * 10
STORED = UploadStored(
    bucket="bucket",
    key="raw/HeartRateRecord/x.avro",
    user_id=UUID(int=1),
    record_type="HeartRateRecord",
    upload_timestamp_utc=datetime(2026, 3, 1, 12, tzinfo=UTC),
    correlation_id="correlation",
    file_size_bytes=len(CONTENT),
    file_hash=hashlib.sha256(CONTENT).hexdigest(),
    record_count=3,
    idempotency_key=str(UUID(int=2)),
    schema_name="test.records.HeartRateRecord",
    schema_fingerprint="0" * 64,
)


def stored() -> UploadStored:
    """Return a message about another upload."""
    return replace(STORED, idempotency_key=str(uuid4()))


def erased(upload: UploadStored) -> UploadErased:
    """Return the message that the upload was erased."""
    return UploadErased(
        upload_id=UUID(upload.idempotency_key),
        study="default",
        record_type=upload.record_type,
        erased_at=datetime(2026, 3, 2, 12, tzinfo=UTC),
        erasure_id=uuid4(),
        reason="upload",
    )


@dataclass
class MemoryFiles(Files):
    """Files in memory, in chunks of 1,000 bytes."""

    files: dict[str, bytes] = field(default_factory=dict)

    async def read(self, upload: UploadStored) -> AsyncGenerator[bytes, None]:
        """See `Files.read`."""
        if upload.idempotency_key not in self.files:
            raise FileGoneError
        content = self.files[upload.idempotency_key]
        for start in range(0, len(content), 1000):
            yield content[start : start + 1000]


@dataclass(frozen=True)
class AnnouncedQueue:
    """A queue of a broker, with its dead letters."""

    server: RabbitMQServer
    name: str

    @property
    def queue(self) -> Queue:
        """The queue for a consumer, which holds one message at a time."""
        return Queue(self.server.amqp_url, self.name, prefetch=1)

    def declare(self, of_dead: Mapping[str, object] | None = None) -> None:
        """Declare both queues as the operator does; *of_dead* are arguments of the dead letters."""
        host = self.server.virtual_host
        dead = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": f"{self.name}.dead"}
        for name, arguments in ((self.name, dead), (f"{self.name}.dead", of_dead or {})):
            given = {"durable": True, "arguments": {"x-queue-type": "quorum", **arguments}}
            self.server.call("PUT", f"/api/queues/{host}/{name}", given)

    async def announce(
        self, *messages: UploadStored | UploadErased | bytes, to: str | None = None
    ) -> None:
        """Put messages into the queue, or into another one."""
        connection = await aio_pika.connect(self.server.amqp_url)
        async with connection:
            channel = await connection.channel()
            for message in messages:
                body = message if isinstance(message, bytes) else message.to_bytes()
                await channel.default_exchange.publish(
                    aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT),
                    routing_key=to or self.name,
                )

    async def waiting(self, name: str | None = None) -> list[bytes]:
        """Return the bodies of the messages in the queue, and leave it empty."""
        found = []
        connection = await aio_pika.connect(self.server.amqp_url)
        async with connection:
            channel = await connection.channel()
            queue = await channel.get_queue(name or self.name)
            while (message := await queue.get(no_ack=True, fail=False)) is not None:
                found.append(message.body)
        return found

    def break_connections(self) -> None:
        """Close all connections to the virtual host, as a restart of the broker does."""

        def names() -> list[str]:
            found = self.server.call("GET", "/api/connections")
            of_host = [one for one in found if one.get("vhost") == self.server.virtual_host]
            return [quote(one["name"], safe="") for one in of_host]

        # The management API learns of a connection seconds after it was opened.
        wait_until(lambda: bool(names()), seconds=30, what="a connection", process=None)
        for name in names():
            self.server.call("DELETE", f"/api/connections/{name}")


def keys(bodies: list[bytes]) -> list[str]:
    """Return the keys of uploads in messages."""
    return [json.loads(body)["idempotency_key"] for body in bodies]
