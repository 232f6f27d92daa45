"""
Opens what every process needs: database, metrics, object store, and their health checks.

If the settings name no external system, an embedded adapter is used.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.environment import DATABASE_URL, IDENTITY_ERASURE_KEY
from healthingest_contract.pod_identity import pod_identity
from healthingest_service.adapters.database.audit import DatabaseAuditLog
from healthingest_service.adapters.database.engine import check_url, open_engine
from healthingest_service.adapters.database.ledger import DatabaseLedger, no_upload_hash
from healthingest_service.adapters.database.migrate import is_current
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.key_file import read_or_make
from healthingest_service.adapters.s3.client import S3Access
from healthingest_service.adapters.s3.store import open_s3_store
from healthingest_service.audit.subjects import SubjectHashes
from healthingest_service.erasure.errors import InvalidErasureKeyError
from healthingest_service.erasure.keys import ErasureKeys, new_key_text
from healthingest_service.health.board import Check
from healthingest_service.main.tls_files import (
    as_settings_error,
    certificate_ends,
    database_tls_material,
    store_tls_material,
)
from healthingest_service.settings import InvalidSettingsError, Settings
from healthingest_service.telemetry.metrics import Metrics
from healthingest_service.telemetry.tracing import NO_TRACING, Tracing
from healthingest_service.uploads.backlog import BacklogLimits, BacklogWatch
from healthingest_service.uploads.errors import LedgerUnavailableError
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.waiting import wait_for_any

Work = Callable[[asyncio.Event], Coroutine[object, object, None]]
"""A coroutine function that runs until its event is set."""
_SCHEMA_POLL_SECONDS: Final = 1.0
LOCAL_BUCKET: Final = "local"
"""The bucket name in messages if the object store is a folder."""


class SchemaNotCurrentError(Exception):
    """The schema of the database is not that of this version; migrate it."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """
    The adapters that every process uses.

    `written` is set when a message was put into the outbox; `checks` are those of the database.
    """

    settings: Settings
    engine: AsyncEngine
    ledger: DatabaseLedger
    outbox: DatabaseOutbox
    audit: DatabaseAuditLog
    subject_hashes: SubjectHashes
    metrics: Metrics
    written: asyncio.Event
    checks: tuple[Check, ...]
    tracing: Tracing = NO_TRACING
    erasure_keys: ErasureKeys | None = None

    @property
    def keys_of_erasure(self) -> ErasureKeys:
        """
        The keys of erasure.

        Raises:
            InvalidSettingsError: this pod has none, as that of the relay.
        """
        if self.erasure_keys is None:
            message = f"missing: {IDENTITY_ERASURE_KEY}"
            raise InvalidSettingsError(message)
        return self.erasure_keys


@dataclass(frozen=True, slots=True)
class Store:
    """The object store, the bucket's name in messages, and the store's health check."""

    port: ObjectStore
    bucket: str

    @property
    def check(self) -> Check:
        """The health check of the object store."""
        return Check("store", self.port.check, required=True)


@dataclass(frozen=True, slots=True)
class Component:
    """Work that a process runs, and the health checks that belong to it."""

    work: tuple[Work, ...]
    checks: tuple[Check, ...] = ()


def utc_now() -> datetime:
    """Return the current time, as the clock of all use cases."""
    return datetime.now(UTC)


def database_url(settings: Settings) -> str:
    """Return the address of the database, by default of SQLite in the data folder."""
    if settings.database.url is not None:
        url = settings.database.url.get_secret_value()
        with as_settings_error(DATABASE_URL):
            check_url(url)
        return url
    return f"sqlite+aiosqlite:///{data_folder(settings) / 'healthingest.sqlite'}"


def queue_file(settings: Settings) -> Path:
    """Return the path of the queue file, which replaces the broker by default."""
    return data_folder(settings) / "queue.jsonl"


def objects_folder(settings: Settings) -> Path:
    """Return the folder of objects, which replaces the bucket by default."""
    return data_folder(settings) / "objects"


async def open_runtime(
    settings: Settings, stack: AsyncExitStack, *, tracing: Tracing = NO_TRACING
) -> Runtime:
    """Open the database, its checks and the metrics."""
    database = settings.database
    engine = await stack.enter_async_context(
        open_engine(
            database_url(settings),
            pool_size=database.pool_size,
            timeout_seconds=database.timeout_seconds,
            tls=database_tls_material(settings),
        )
    )
    written = asyncio.Event()
    keys = erasure_keys(settings)
    ledger = DatabaseLedger(
        engine,
        timeout_seconds=database.timeout_seconds,
        on_message=written.set,
        upload_hash=no_upload_hash if keys is None else keys.upload_hash,
    )
    claim_seconds = settings.relay.claim_seconds
    outbox = DatabaseOutbox(
        engine, timeout_seconds=database.timeout_seconds, claim_seconds=claim_seconds
    )
    metrics = Metrics.create()
    metrics.report_certificates(certificate_ends(settings))
    checks = await _open_database_checks(settings, metrics, stack)
    audit = DatabaseAuditLog(engine, timeout_seconds=database.timeout_seconds)
    return Runtime(
        settings=settings,
        engine=engine,
        ledger=ledger,
        outbox=outbox,
        audit=audit,
        subject_hashes=SubjectHashes(audit),
        metrics=metrics,
        written=written,
        checks=checks,
        tracing=tracing,
        erasure_keys=keys,
    )


def erasure_keys(settings: Settings) -> ErasureKeys | None:
    """
    Return the keys of erasure, by default of a key in the data folder; None: this pod has none.

    Raises:
        InvalidSettingsError: the setting is no erasure key.
    """
    text = reveal(settings.identity.erasure_key)
    if text is None and settings.secrets_dir is not None:
        return None
    try:
        return ErasureKeys.from_text(
            text or read_or_make(data_folder(settings) / "erasure-key", new_key_text)
        )
    except InvalidErasureKeyError as error:
        message = f"{IDENTITY_ERASURE_KEY}: {error}"
        raise InvalidSettingsError(message) from None


async def _open_database_checks(
    settings: Settings, metrics: Metrics, stack: AsyncExitStack
) -> tuple[Check, ...]:
    """Return the database checks; their own connection keeps them independent of load."""
    database = settings.database
    engine = await stack.enter_async_context(
        open_engine(
            database_url(settings),
            pool_size=1,
            timeout_seconds=database.timeout_seconds,
            tls=database_tls_material(settings),
        )
    )
    ledger = DatabaseLedger(engine, timeout_seconds=database.timeout_seconds)
    outbox = DatabaseOutbox(engine, timeout_seconds=database.timeout_seconds)
    limits = BacklogLimits(settings.limits.outbox_messages, settings.limits.outbox_age_seconds)
    watch = BacklogWatch(limits)

    async def backlog() -> None:
        waiting = await outbox.backlog()
        metrics.outbox_messages.set(waiting.count)
        metrics.outbox_oldest_seconds.set(waiting.oldest_age_seconds)
        watch.check(waiting)

    is_known = False  # a later version may migrate the database while this one still serves

    async def schema() -> None:
        nonlocal is_known
        is_known = is_known or await is_current(engine, timeout_seconds=database.timeout_seconds)
        if not is_known:
            raise SchemaNotCurrentError

    return (
        Check("database", ledger.check, required=True),
        Check("schema", schema, required=True),
        Check("outbox", backlog, required=True),
    )


async def open_store(runtime: Runtime, stack: AsyncExitStack) -> Store:
    """Open the object store: S3 if `store.bucket` is set, else a folder."""
    wanted = runtime.settings.store
    store: Store
    if wanted.bucket is None:
        folder = FolderStore(
            objects_folder(runtime.settings), timeout_seconds=wanted.timeout_seconds
        )
        store = Store(folder, LOCAL_BUCKET)
    else:
        opening = open_s3_store(
            s3_access(runtime.settings, wanted.bucket),
            encryption=wanted.encryption,
            kms_key_id=wanted.kms_key_id,
            part_bytes=wanted.part_bytes,
        )
        store = Store(await stack.enter_async_context(opening), wanted.bucket)
    return store


def s3_access(settings: Settings, bucket: str) -> S3Access:
    """Return address and credentials for *bucket*."""
    wanted = settings.store
    return S3Access(
        endpoint=wanted.endpoint,
        region=wanted.region,
        bucket=bucket,
        access_key_id=reveal(wanted.access_key_id),
        secret_access_key=reveal(wanted.secret_access_key),
        timeout_seconds=wanted.timeout_seconds,
        tls=store_tls_material(settings),
        identity=pod_identity(os.environ),
    )


def data_folder(settings: Settings) -> Path:
    """Return the folder of the embedded adapters, and create it if it is missing."""
    folder = settings.data_folder.resolve()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def reveal(secret: SecretStr | None) -> str | None:
    """Return the value of *secret*, or None."""
    return None if secret is None else secret.get_secret_value()


def after_schema(runtime: Runtime, work: Work) -> Work:
    """Return work that waits until the database schema is current, then runs *work*."""
    timeout_seconds = runtime.settings.database.timeout_seconds

    async def waiting(stop: asyncio.Event) -> None:
        while not stop.is_set():
            with suppress(LedgerUnavailableError):
                if await is_current(runtime.engine, timeout_seconds=timeout_seconds):
                    await work(stop)
                    return
            await wait_for_any(stop, seconds=_SCHEMA_POLL_SECONDS)

    return waiting
