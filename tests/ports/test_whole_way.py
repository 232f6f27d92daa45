"""One upload through all parts: once with embedded adapters, once with real servers."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aio_pika
import pytest

from healthingest_contract.events import UploadStored
from healthingest_service.adapters.avro_validation.pool import open_gate
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.queue_file import QueueFile, follow
from healthingest_service.adapters.rabbitmq import open_publisher
from healthingest_service.adapters.s3.store import open_s3_store
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.uploads.accept import AcceptUpload, UploadRequest
from healthingest_service.uploads.model import UploadState
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.relay import Relay
from healthingest_service.uploads.relay_ports import EventPublisher
from support.migrated import migrate_by_copy
from support.s3 import access_to
from support.servers.rabbitmq import RabbitMQServer
from support.servers.versitygw import S3Server
from support.uploads import owner, principal, sha256

SAMPLE = Path(__file__).parents[2] / "examples" / "samples" / "WearableSample.avro"


async def body(content: bytes) -> AsyncIterator[bytes]:
    """Yield pieces of a kilobyte."""
    for start in range(0, len(content), 1024):
        yield content[start : start + 1024]


async def goes_the_whole_way(  # the parts are what differs
    database_url: str, store: ObjectStore, publisher: EventPublisher, folder: Path
) -> tuple[bytes, UploadStored]:
    """Upload a sample, relay it, and return the object's bytes and the message."""
    content = await asyncio.to_thread(SAMPLE.read_bytes)
    account = owner()
    await migrate_by_copy(database_url)
    async with (
        open_engine(database_url, pool_size=3, timeout_seconds=5) as engine,
        open_gate(
            workers=1,
            memory_limit_bytes=512 << 20,
            stall_seconds=5,
            schemas_mode="Any",
            schemas_folder=None,
        ) as gate,
    ):
        ledger = DatabaseLedger(engine, timeout_seconds=5)
        outbox = DatabaseOutbox(engine, timeout_seconds=5)
        accept = AcceptUpload(
            ledger=ledger,
            store=store,
            gate=gate,
            spool=DiskSpool(folder / "spool", max_bytes=1 << 20),
            bucket="bucket",
            max_file_bytes=1 << 20,
            lease_seconds=60,
            clock=lambda: datetime.now(UTC),
        )
        request = UploadRequest(
            principal=principal(account),
            body=body(content),
            correlation_id="correlation",
            idempotency_key=None,
            declared_size_bytes=len(content),
        )
        receipt = (await accept(request)).receipt
        relay = Relay(
            outbox=outbox,
            publisher=publisher,
            clock=lambda: datetime.now(UTC),
            batch_size=10,
            concurrency=5,
            publish_seconds=5,
            idle_seconds=1,
            backoff_seconds_min=1,
            backoff_seconds_max=60,
        )
        assert (await relay.announce_batch(10)).announced == 1
        found = await ledger.find(receipt.upload_id)
        assert found.state is UploadState.ANNOUNCED
        stored = b"".join([chunk async for chunk in store.read(receipt.object_key)])
        assert (sha256(stored), receipt.record_count) == (receipt.file_hash, 48)
        return stored, UploadStored(
            bucket="bucket",
            key=receipt.object_key,
            user_id=account,
            record_type="WearableSample",
            upload_timestamp_utc=found.received_at,
            correlation_id="correlation",
            file_size_bytes=len(content),
            file_hash=receipt.file_hash,
            record_count=48,
            idempotency_key=str(receipt.upload_id),
            schema_name="dev.healthingest.records.WearableSample",
            schema_fingerprint=found.schema_fingerprint,
            study="default",
            subject=str(account),
        )


async def test_embedded(tmp_path: Path) -> None:
    """
    SQLite, a folder, a queue file.

    The file is stored, and its message can be read.
    """
    events = tmp_path / "events.jsonl"
    stored, event = await goes_the_whole_way(
        f"sqlite:///{tmp_path}/health.db",
        FolderStore(tmp_path / "objects"),
        QueueFile(events),
        tmp_path,
    )
    heard = await anext(follow(events, from_start=True))
    assert stored == await asyncio.to_thread(SAMPLE.read_bytes)
    assert UploadStored.from_bytes(json.dumps(heard["body"]).encode()) == event


@pytest.fixture
def broker(rabbitmq: RabbitMQServer) -> RabbitMQServer:
    """A broker with an exchange and a bound queue."""
    path = f"/api/{{}}/{rabbitmq.virtual_host}/"
    rabbitmq.call("PUT", path.format("exchanges") + "events", {"type": "topic", "durable": True})
    rabbitmq.call("PUT", path.format("queues") + "processing", {"durable": True})
    rabbitmq.call(
        "POST",
        path.format("bindings") + "e/events/q/processing",
        {"routing_key": "health.processing.#"},
    )
    return rabbitmq


async def test_real(
    postgres_url: str, s3_server: S3Server, broker: RabbitMQServer, tmp_path: Path
) -> None:
    """PostgreSQL, S3 and RabbitMQ give the same result."""
    async with (
        open_publisher(url=broker.amqp_url, exchange="events", timeout_seconds=5) as publisher,
        open_s3_store(access_to(s3_server)) as store,
    ):
        stored, event = await goes_the_whole_way(postgres_url, store, publisher, tmp_path)
    async with await aio_pika.connect(broker.amqp_url) as connection:
        queue = await (await connection.channel()).get_queue("processing")
        heard = await queue.get(no_ack=True, timeout=5)
    assert stored == await asyncio.to_thread(SAMPLE.read_bytes)
    assert heard is not None
    assert UploadStored.from_bytes(heard.body) == event
