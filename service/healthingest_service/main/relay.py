"""Composes the relay, and the notifications about new messages."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict

from healthingest_service.adapters.database import outbox_notify
from healthingest_service.adapters.queue_file import QueueFile
from healthingest_service.adapters.rabbitmq import RabbitMQPublisher, open_publisher
from healthingest_service.adapters.traced_publisher import TracedPublisher
from healthingest_service.health.board import Check
from healthingest_service.main.decorators import Decorators, RelayPorts
from healthingest_service.main.runtime import (
    Component,
    Runtime,
    Work,
    after_schema,
    database_url,
    queue_file,
    utc_now,
)
from healthingest_service.main.tls_files import broker_tls_material, database_tls_material
from healthingest_service.uploads.announcing import ANNOUNCEMENTS, Announcements
from healthingest_service.uploads.relay import Relay


async def open_relay(runtime: Runtime, stack: AsyncExitStack, decorate: Decorators) -> Component:
    """Open the relay, with RabbitMQ if `broker.url` is set, else with the queue file."""
    broker = runtime.settings.broker
    rules = runtime.settings.relay
    publisher: QueueFile | RabbitMQPublisher
    if broker.url is None:
        publisher = QueueFile(queue_file(runtime.settings), timeout_seconds=broker.timeout_seconds)
    else:
        publisher = await stack.enter_async_context(
            open_publisher(
                url=broker.url.get_secret_value(),
                exchange=broker.exchange,
                timeout_seconds=broker.timeout_seconds,
                tls=broker_tls_material(runtime.settings),
            )
        )
    traced = TracedPublisher(publisher, runtime.tracing, exchange=broker.exchange)
    ports = decorate.relay(RelayPorts(outbox=runtime.outbox, publisher=traced))
    relay = Relay(
        outbox=ports.outbox,
        publisher=ports.publisher,
        clock=utc_now,
        batch_size=rules.batch_size,
        concurrency=rules.concurrency,
        publish_seconds=runtime.settings.broker.timeout_seconds,
        idle_seconds=rules.idle_seconds,
        backoff_seconds_min=rules.backoff_seconds_min,
        backoff_seconds_max=rules.backoff_seconds_max,
        written=runtime.written,
    )
    runtime.metrics.watch_relay(lambda: asdict(relay.counts), lambda: relay.confirmed_at)
    announcements = Announcements(
        stalled_since=lambda: relay.stalled_since,
        check_broker=publisher.check,
        backlog=runtime.outbox.backlog,
        clock=utc_now,
        stalled_seconds=rules.stalled_seconds,
    )
    return Component(
        work=(after_schema(runtime, relay.run), *_listeners(runtime)),
        checks=(
            Check("broker", announcements.broker, required=False),
            Check(ANNOUNCEMENTS, announcements.check, required=False),
        ),
    )


def open_notifier(runtime: Runtime) -> Component:
    """Return the work of a process without a relay: notify the relays of other processes."""
    if not _has_notify(runtime):
        return Component(())

    async def notify(stop: asyncio.Event) -> None:
        await outbox_notify.notify(
            runtime.engine,
            runtime.written,
            stop,
            timeout_seconds=runtime.settings.database.timeout_seconds,
        )

    return Component((notify,))


def _listeners(runtime: Runtime) -> tuple[Work, ...]:
    if not _has_notify(runtime):
        return ()

    async def listen(stop: asyncio.Event) -> None:
        url = database_url(runtime.settings)
        await outbox_notify.listen(
            url,
            runtime.written,
            stop,
            timeout_seconds=runtime.settings.database.timeout_seconds,
            tls=database_tls_material(runtime.settings),
        )

    return (listen,)


def _has_notify(runtime: Runtime) -> bool:
    return runtime.engine.dialect.name == "postgresql"
