"""Composes the janitor."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import asdict
from datetime import timedelta
from typing import Final

from healthingest_service.adapters.database.device_tokens import DatabaseDeviceTokens
from healthingest_service.adapters.database.enrolment_codes import DatabaseEnrolmentCodes
from healthingest_service.adapters.database.idempotency_keys import DatabaseIdempotencyKeys
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.mails import DatabaseMailTokens
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.folder_anchors import FolderAnchors
from healthingest_service.adapters.folder_inventory import FolderInventory
from healthingest_service.adapters.s3.anchors import open_s3_anchors
from healthingest_service.adapters.s3.inventory import open_s3_inventory
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.ports import Anchors
from healthingest_service.audit.pruning import PruneEvents
from healthingest_service.erasure.restore import repeat
from healthingest_service.identity.housekeeping import forget_all, forget_expired
from healthingest_service.main.decorators import Decorators, JanitorPorts
from healthingest_service.main.erasure import erasure_work
from healthingest_service.main.mail import make_mail_delivery
from healthingest_service.main.resumable import make_remove_parts, make_remove_stray_parts
from healthingest_service.main.runtime import (
    Component,
    Runtime,
    Store,
    Work,
    after_schema,
    objects_folder,
    s3_access,
    utc_now,
)
from healthingest_service.uploads.consistency_check import ConsistencyCheck, ConsistencyRules
from healthingest_service.uploads.janitor import Janitor
from healthingest_service.uploads.upkeep_ports import StoreInventory

_FORGET_SECONDS: Final = 3600.0
_CHAIN_SECONDS: Final = 2.0
_ANCHOR_SECONDS: Final = 60.0
_YOUNG_SECONDS_MIN: Final = 3600.0
"""Minimum age of an object or unfinished PUT before it counts as a discrepancy."""


async def open_janitor(
    runtime: Runtime, stack: AsyncExitStack, store: Store, decorate: Decorators
) -> Component:
    """Open the janitor: uploads, consistency check, erasures, expired sessions, mails."""
    ports = decorate.janitor(JanitorPorts(ledger=runtime.ledger, store=store.port))
    janitor = Janitor(
        ledger=ports.ledger,
        store=ports.store,
        clock=utc_now,
        bucket=store.bucket,
        interval_seconds=runtime.settings.janitor.interval_seconds,
        lease_seconds=runtime.settings.limits.upload_lease_seconds,
        subject_hashes=runtime.subject_hashes,
    )
    runtime.metrics.watch_janitor(lambda: asdict(janitor.counts), lambda: janitor.swept_at)
    inventory = await open_inventory(runtime, stack)
    check = make_consistency_check(runtime, store, inventory)
    mails = make_mail_delivery(runtime)
    anchors = await open_anchors(runtime, stack)
    chaining = ChainEvents(
        runtime.audit,
        anchors,
        clock=utc_now,
        interval_seconds=_CHAIN_SECONDS,
        anchor_seconds=_ANCHOR_SECONDS,
    )
    runtime.metrics.watch_audit(lambda: chaining.chained_events, lambda: chaining.anchored_at)
    retention_days = runtime.settings.audit_log.retention_days
    pruning = PruneEvents(
        runtime.audit,
        anchors,
        salts=runtime.audit,
        retention=timedelta(days=retention_days or 0),
        clock=utc_now,
        interval_seconds=_FORGET_SECONDS,
    )
    erasing = erasure_work(runtime, store, decorate)
    work = (
        janitor.run,
        check.run,
        *_forgetting(runtime),
        make_remove_parts(runtime, Store(ports.store, store.bucket)).run,
        make_remove_stray_parts(runtime, store, inventory).run,
        chaining.run,
        *erasing,
        *(() if retention_days is None else (pruning.run,)),
        *(() if mails is None else (mails.run,)),
    )
    return Component(tuple(after_schema(runtime, one) for one in work))


def _forgetting(runtime: Runtime) -> tuple[Work, ...]:
    """Return the removal of expired sessions, tokens, codes and idempotency keys."""
    timeout_seconds = runtime.settings.database.timeout_seconds
    expiring = (
        DatabaseSessions(runtime.engine, timeout_seconds=timeout_seconds),
        DatabaseDeviceTokens(runtime.engine, timeout_seconds=timeout_seconds),
        DatabaseMailTokens(runtime.engine, timeout_seconds=timeout_seconds),
        DatabaseEnrolmentCodes(runtime.engine, timeout_seconds=timeout_seconds),
    )
    keys = DatabaseIdempotencyKeys(runtime.engine, timeout_seconds)
    lifetime = timedelta(days=runtime.settings.janitor.idempotency_key_days)

    async def forget(stop: asyncio.Event) -> None:
        await forget_expired(expiring, clock=utc_now, interval_seconds=_FORGET_SECONDS, stop=stop)

    async def forget_keys(stop: asyncio.Event) -> None:
        async def forget_once() -> None:
            await forget_all(keys, before=utc_now() - lifetime, stop=stop)

        await repeat(forget_once, stop, seconds=_FORGET_SECONDS)

    return forget, forget_keys


async def open_anchors(runtime: Runtime, stack: AsyncExitStack) -> Anchors:
    """Open the anchors of the audit log, in the bucket or the folder of the uploads."""
    wanted = runtime.settings.store
    if wanted.bucket is None:
        return FolderAnchors(objects_folder(runtime.settings))
    return await stack.enter_async_context(
        open_s3_anchors(
            s3_access(runtime.settings, wanted.bucket),
            encryption=wanted.encryption,
            kms_key_id=wanted.kms_key_id,
        )
    )


def make_consistency_check(
    runtime: Runtime, store: Store, inventory: StoreInventory
) -> ConsistencyCheck:
    """Return the consistency check of object store and database, with its metrics."""
    rules = runtime.settings.janitor
    limits = runtime.settings.limits
    timeout_seconds = runtime.settings.database.timeout_seconds
    check = ConsistencyCheck(
        inventory=inventory,
        store=store.port,
        uploads=DatabaseKeptUploads(
            runtime.engine,
            timeout_seconds=timeout_seconds,
            key_hash=runtime.keys_of_erasure.key_hash,
        ),
        jobs=DatabaseScheduledJobs(runtime.engine, timeout_seconds=timeout_seconds),
        rules=ConsistencyRules(
            interval_seconds=rules.consistency_interval_seconds,
            verify_shares=rules.verify_shares,
            verify_bytes_per_second=rules.verify_bytes_per_second,
            young_seconds=max(_YOUNG_SECONDS_MIN, 2 * limits.upload_lease_seconds),
        ),
        bucket=store.bucket,
        clock=utc_now,
    )
    runtime.metrics.watch_consistency_check(
        lambda: check.counts.discrepancies, lambda: check.counts.work, lambda: check.finished_at
    )
    return check


async def open_inventory(runtime: Runtime, stack: AsyncExitStack) -> StoreInventory:
    """Open the listing of the object store."""
    wanted = runtime.settings.store
    if wanted.bucket is None:
        return FolderInventory(
            objects_folder(runtime.settings), timeout_seconds=wanted.timeout_seconds
        )
    return await stack.enter_async_context(
        open_s3_inventory(s3_access(runtime.settings, wanted.bucket))
    )
