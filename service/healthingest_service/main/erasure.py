"""Composes the use cases of erasure."""

from datetime import timedelta
from typing import Final

from healthingest_service.adapters.database.erasing import DatabaseErasureWork
from healthingest_service.adapters.database.erasures import DatabaseErasures
from healthingest_service.adapters.folder_erasure_log import FolderErasureLog
from healthingest_service.adapters.s3.erasure_log import S3ErasureLog
from healthingest_service.adapters.s3.store import S3Store
from healthingest_service.erasure.erase import EraseData, EraseRules
from healthingest_service.erasure.model import OPEN_STATES, Totals
from healthingest_service.erasure.ports import ErasureLog
from healthingest_service.erasure.restore import RestoreErasures, repeat
from healthingest_service.erasure.retention_check import CheckRetention
from healthingest_service.main.decorators import Decorators, ErasurePorts
from healthingest_service.main.resumable import make_remove_parts
from healthingest_service.main.runtime import (
    Runtime,
    Store,
    Work,
    objects_folder,
    utc_now,
)

_RESTORE_SECONDS: Final = 3600.0
_RETENTION_SECONDS: Final = 3600.0
_RETENTION_SLOT: Final = timedelta(days=1)
_RETRY_SECONDS: Final = 5.0
_REPORT_SECONDS: Final = 15.0


def make_erasures(runtime: Runtime) -> DatabaseErasures:
    """Return the requests of erasures."""
    return DatabaseErasures(
        runtime.engine,
        runtime.keys_of_erasure.hidden,
        runtime.settings.database.timeout_seconds,
        utc_now,
    )


def make_erasure_work(runtime: Runtime) -> DatabaseErasureWork:
    """Return the steps of erasures in the database."""
    return DatabaseErasureWork(
        runtime.engine,
        runtime.keys_of_erasure.hidden,
        runtime.settings.database.timeout_seconds,
        utc_now,
        runtime.written.set,
    )


def make_erasure_log(runtime: Runtime, store: Store) -> ErasureLog:
    """Return the objects of erasures, in the bucket or the folder of the uploads."""
    if isinstance(store.port, S3Store):
        return S3ErasureLog(store.port.bucket)
    return FolderErasureLog(
        objects_folder(runtime.settings),
        timeout_seconds=runtime.settings.store.timeout_seconds,
    )


def make_erase_data(runtime: Runtime, store: Store, decorate: Decorators) -> EraseData:
    """Return the use case that erases."""
    settings = runtime.settings
    ports = decorate.erasure(
        ErasurePorts(
            work=make_erasure_work(runtime),
            store=store.port,
            log=make_erasure_log(runtime, store),
        )
    )
    return EraseData(
        work=ports.work,
        store=ports.store,
        log=ports.log,
        keys=runtime.keys_of_erasure,
        remove_parts=make_remove_parts(runtime, Store(ports.store, store.bucket)),
        rules=EraseRules(
            interval_seconds=settings.janitor.interval_seconds,
            lease_seconds=settings.limits.upload_lease_seconds,
            retry_seconds=min(_RETRY_SECONDS, settings.janitor.interval_seconds),
            max_waiting_messages=max(1, settings.limits.outbox_messages // 2),
        ),
        clock=utc_now,
    )


def erasure_work(runtime: Runtime, store: Store, decorate: Decorators) -> tuple[Work, ...]:
    """Return the janitor's work: erase, restore erasures, and request what is too old."""
    erase = make_erase_data(runtime, store, decorate)
    restore = RestoreErasures(
        make_erasure_work(runtime), make_erasure_log(runtime, store), runtime.keys_of_erasure
    )
    erasures = make_erasures(runtime)
    runtime.metrics.watch_erasures(lambda: erase.counts)

    async def report() -> None:
        _report(runtime, await make_erasure_work(runtime).totals())

    async def request_due() -> int:
        return await erasures.request_due(utc_now(), slot=_RETENTION_SLOT)

    check = CheckRetention(
        erasures,
        lock_days=runtime.settings.store.lock_days,
        report=runtime.metrics.studies_below_lock.set,
    )
    return (
        erase.run,
        lambda stop: repeat(restore, stop, seconds=_RESTORE_SECONDS),
        lambda stop: repeat(request_due, stop, seconds=_RETENTION_SECONDS),
        lambda stop: repeat(report, stop, seconds=_REPORT_SECONDS),
        lambda stop: repeat(check, stop, seconds=_RETENTION_SECONDS),
    )


def _report(runtime: Runtime, totals: Totals) -> None:
    """Set the metrics of erasures that are not done."""
    metrics = runtime.metrics
    for state in sorted(OPEN_STATES):
        metrics.erasures_open.labels(state.value).set(totals.by_state.get(state, 0))
    oldest = totals.oldest_open_at
    age = 0.0 if oldest is None else (utc_now() - oldest).total_seconds()
    metrics.erasures_oldest_seconds.set(max(0.0, age))
