"""What works beside the API: the relay, the janitor, and the bell between processes."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import asdict
from typing import Any, Final

from healthingest_service.adapters.database import outbox_notify
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.migrate import is_current
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.adapters.folder_inventory import FolderInventory
from healthingest_service.adapters.queue_file import QueueFile
from healthingest_service.adapters.rabbitmq import RabbitMQPublisher, open_publisher
from healthingest_service.adapters.s3_inventory import open_s3_inventory
from healthingest_service.adapters.tokens import DatabaseSessions
from healthingest_service.api.readiness import Check
from healthingest_service.faults.announcing import FaultyOutbox, FaultyPublisher
from healthingest_service.faults.storing import (
    SETTLING_LEDGER,
    SETTLING_STORE,
    FaultyLedger,
    FaultyStore,
)
from healthingest_service.identity.housekeeping import forget_expired_sessions
from healthingest_service.main.parts import (
    Ground,
    Store,
    database_url,
    objects_folder,
    queue_file,
    s3_access,
    utc_now,
)
from healthingest_service.uploads.announcing import ANNOUNCEMENTS, Announcements
from healthingest_service.uploads.consistency_check import ConsistencyCheck, ConsistencyRules
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.janitor import Janitor
from healthingest_service.uploads.ports import Ledger, ObjectStore
from healthingest_service.uploads.relay import Relay
from healthingest_service.uploads.relay_ports import EventPublisher, Outbox
from healthingest_service.uploads.upkeep_ports import StoreInventory
from healthingest_service.uploads.waiting import wait_for_any

_SCHEMA_POLL_SECONDS: Final = 1.0
_FORGET_SECONDS: Final = 3600.0
_YOUNG_SECONDS_MIN: Final = 3600.0
"""An object or an unfinished PUT of less than this age is nobody's fault yet."""
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
                url=broker.url.get_secret_value(),
                exchange=broker.exchange,
                timeout_seconds=broker.timeout_seconds,
            )
        )
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
    ground.metrics.watch_relay(lambda: asdict(relay.counts), lambda: relay.confirmed_at)
    announcements = Announcements(
        stalled_since=lambda: relay.stalled_since,
        check_broker=publisher.check,
        backlog=ground.outbox.backlog,
        clock=utc_now,
        stalled_seconds=rules.stalled_seconds,
    )
    ground.checks.append(Check("broker", announcements.broker, required=False))
    ground.checks.append(Check(ANNOUNCEMENTS, announcements.check, required=False))
    return [_after_schema(ground, relay.run), *_hearing(ground)]


def _relay_ports(ground: Ground, publisher: EventPublisher) -> tuple[Outbox, EventPublisher]:
    if ground.faults is None:
        return ground.outbox, publisher
    return FaultyOutbox(ground.outbox, ground.faults), FaultyPublisher(publisher, ground.faults)


def notify_work(ground: Ground) -> list[Work]:
    """In a process without a relay: tell those of others what was written here."""
    if not _has_notify(ground):
        return []

    async def notify(stop: asyncio.Event) -> None:
        await outbox_notify.notify(
            ground.engine, ground.written, stop, timeout_seconds=_database_seconds(ground)
        )

    return [notify]


def _hearing(ground: Ground) -> list[Work]:
    if not _has_notify(ground):
        return []

    async def listen(stop: asyncio.Event) -> None:
        url = database_url(ground.settings)
        await outbox_notify.listen(
            url, ground.written, stop, timeout_seconds=_database_seconds(ground)
        )

    return [listen]


def _has_notify(ground: Ground) -> bool:
    return ground.engine.dialect.name == "postgresql"


def _janitor_ports(ground: Ground, store: Store) -> tuple[Ledger, ObjectStore]:
    if ground.faults is None:
        return ground.ledger, store.port
    ledger = FaultyLedger(ground.ledger, ground.faults, SETTLING_LEDGER)
    return ledger, FaultyStore(store.port, ground.faults, SETTLING_STORE)


async def open_janitor(ground: Ground, stack: AsyncExitStack, store: Store) -> list[Work]:
    """The janitor: unfinished uploads, the consistency check and expired sessions."""
    ledger, objects = _janitor_ports(ground, store)
    janitor = Janitor(
        ledger=ledger,
        store=objects,
        clock=utc_now,
        bucket=store.bucket,
        interval_seconds=ground.settings.janitor.interval_seconds,
        lease_seconds=ground.settings.limits.upload_lease_seconds,
    )
    ground.metrics.watch_janitor(lambda: asdict(janitor.counts), lambda: janitor.swept_at)
    sessions = DatabaseSessions(ground.engine, timeout_seconds=_database_seconds(ground))

    async def forget(stop: asyncio.Event) -> None:
        await forget_expired_sessions(
            sessions, clock=utc_now, interval_seconds=_FORGET_SECONDS, stop=stop
        )

    check = _open_consistency_check(ground, store, await _open_inventory(ground, stack))
    return [_after_schema(ground, work) for work in (janitor.run, check.run, forget)]


def _open_consistency_check(
    ground: Ground, store: Store, inventory: StoreInventory
) -> ConsistencyCheck:
    rules, limits, timeout_seconds = (
        ground.settings.janitor,
        ground.settings.limits,
        _database_seconds(ground),
    )
    check = ConsistencyCheck(
        inventory=inventory,
        store=store.port,
        uploads=DatabaseKeptUploads(ground.engine, timeout_seconds=timeout_seconds),
        jobs=DatabaseScheduledJobs(ground.engine, timeout_seconds=timeout_seconds),
        rules=ConsistencyRules(
            interval_seconds=rules.consistency_interval_seconds,
            verify_shares=rules.verify_shares,
            verify_bytes_per_second=rules.verify_bytes_per_second,
            young_seconds=max(_YOUNG_SECONDS_MIN, 2 * limits.upload_lease_seconds),
        ),
        bucket=store.bucket,
        clock=utc_now,
    )
    ground.metrics.watch_consistency_check(
        lambda: check.counts.discrepancies, lambda: check.counts.work, lambda: check.finished_at
    )
    return check


async def _open_inventory(ground: Ground, stack: AsyncExitStack) -> StoreInventory:
    wanted = ground.settings.store
    if wanted.bucket is None:
        return FolderInventory(
            objects_folder(ground.settings), timeout_seconds=wanted.timeout_seconds
        )
    return await stack.enter_async_context(
        open_s3_inventory(s3_access(ground.settings, wanted.bucket))
    )


def _database_seconds(ground: Ground) -> float:
    return ground.settings.database.timeout_seconds


def _after_schema(ground: Ground, work: Work) -> Work:
    async def waiting(stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(LedgerUnavailableError):
                if await is_current(ground.engine, timeout_seconds=_database_seconds(ground)):
                    await work(stop)
                    return
            await wait_for_any(stop, seconds=_SCHEMA_POLL_SECONDS)

    return waiting
