"""What works beside the API: the relay, the janitor, and the bell between processes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from typing import Any, Final

from healthingest_service.adapters.database import bell
from healthingest_service.adapters.database.migrate import is_current
from healthingest_service.adapters.queue_file import QueueFile
from healthingest_service.adapters.rabbitmq import RabbitMQPublisher, open_publisher
from healthingest_service.adapters.tokens import DatabaseSessions
from healthingest_service.api.readiness import Check
from healthingest_service.faults.announcing import FaultyOutbox, FaultyPublisher
from healthingest_service.faults.storing import SETTLING_LEDGER, SETTLING_STORE, FaultyLedger, FaultyStore
from healthingest_service.identity.housekeeping import forget_expired_sessions
from healthingest_service.main.parts import Ground, Store, database_url, queue_file, utc_now
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.ports import Ledger, ObjectStore
from healthingest_service.uploads.reconcile_storage import Janitor
from healthingest_service.uploads.relay import Relay
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox
from healthingest_service.uploads.waiting import wait_for_any

_SCHEMA_POLL_SECONDS: Final = 1.0
_FORGET_SECONDS: Final = 3600.0
Work = Callable[[asyncio.Event], Coroutine[Any, Any, None]]


async def open_relay(ground: Ground, stack: AsyncExitStack) -> list[Work]:
    """The relay, to RabbitMQ if one is named, else to the queue file; and what wakes it."""
    broker, rules = ground.settings.broker, ground.settings.relay
    publisher: QueueFile | RabbitMQPublisher
    if broker.url is None:
        publisher = QueueFile(queue_file(ground.settings), timeout_seconds=broker.timeout_seconds)
    else:
        publisher = await stack.enter_async_context(
            open_publisher(
                url=broker.url.get_secret_value(), exchange=broker.exchange, timeout_seconds=broker.timeout_seconds
            )
        )
    ground.checks.append(Check("broker", publisher.check, required=False))
    outbox, way = _relay_ports(ground, publisher)
    relay = Relay(
        outbox=outbox,
        publisher=way,
        clock=utc_now,
        batch_size=rules.batch_size,
        concurrency=rules.concurrency,
        idle_seconds=rules.idle_seconds,
        backoff_seconds_min=rules.backoff_seconds_min,
        backoff_seconds_max=rules.backoff_seconds_max,
        written=ground.written,
    )
    ground.metrics.watch_relay(lambda: asdict(relay.counts))
    return [_after_schema(ground, relay.run), *_hearing(ground)]


def _relay_ports(ground: Ground, publisher: EventPublisher) -> tuple[Outbox, EventPublisher]:
    if ground.faults is None:
        return ground.outbox, publisher
    return FaultyOutbox(ground.outbox, ground.faults), FaultyPublisher(publisher, ground.faults)


def bell_work(ground: Ground) -> list[Work]:
    """In a process without a relay: tell those of others what was written here."""
    if not _has_bell(ground):
        return []

    async def ring(stop: asyncio.Event) -> None:
        timeout_seconds = ground.settings.database.timeout_seconds
        await bell.ring(ground.engine, ground.written, stop, timeout_seconds=timeout_seconds)

    return [ring]


def _hearing(ground: Ground) -> list[Work]:
    if not _has_bell(ground):
        return []

    async def listen(stop: asyncio.Event) -> None:
        url, timeout_seconds = database_url(ground.settings), ground.settings.database.timeout_seconds
        await bell.listen(url, ground.written, stop, timeout_seconds=timeout_seconds)

    return [listen]


def _has_bell(ground: Ground) -> bool:
    return ground.engine.dialect.name == "postgresql"


def _janitor_ports(ground: Ground, store: Store) -> tuple[Ledger, ObjectStore]:
    if ground.faults is None:
        return ground.ledger, store.port
    ledger = FaultyLedger(ground.ledger, ground.faults, SETTLING_LEDGER)
    return ledger, FaultyStore(store.port, ground.faults, SETTLING_STORE)


def janitor_work(ground: Ground, store: Store) -> list[Work]:
    """The janitor, and what it forgets."""
    ledger, objects = _janitor_ports(ground, store)
    janitor = Janitor(
        ledger=ledger,
        store=objects,
        clock=utc_now,
        bucket=store.bucket,
        interval_seconds=ground.settings.janitor.interval_seconds,
        lease_seconds=ground.settings.limits.upload_lease_seconds,
    )
    ground.metrics.watch_janitor(lambda: asdict(janitor.counts))
    sessions = DatabaseSessions(ground.engine, timeout_seconds=ground.settings.database.timeout_seconds)

    async def forget(stop: asyncio.Event) -> None:
        await forget_expired_sessions(sessions, clock=utc_now, interval_seconds=_FORGET_SECONDS, stop=stop)

    return [_after_schema(ground, janitor.run), _after_schema(ground, forget)]


def _after_schema(ground: Ground, work: Work) -> Work:
    async def waiting(stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(LedgerUnavailableError):
                if await is_current(ground.engine, timeout_seconds=ground.settings.database.timeout_seconds):
                    await work(stop)
                    return
            await wait_for_any(stop, seconds=_SCHEMA_POLL_SECONDS)

    return waiting
