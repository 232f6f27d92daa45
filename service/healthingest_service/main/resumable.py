"""Composes the use cases of resumable uploads."""

from typing import Final

from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.main.decorators import Decorators, ResumablePorts
from healthingest_service.main.runtime import Runtime, Store, utc_now
from healthingest_service.uploads.accept import AcceptUpload
from healthingest_service.uploads.ports import Spool
from healthingest_service.uploads.receive_in_parts import PartRules, ReceiveInParts
from healthingest_service.uploads.remove_parts import RemoveParts
from healthingest_service.uploads.stray_parts import RemoveStrayParts
from healthingest_service.uploads.upkeep_ports import StoreInventory

_LEASE_MARGIN_SECONDS: Final = 5.0
"""Time in which a request records a part that it has stored."""
_YOUNG_SECONDS_MIN: Final = 3600.0
"""Minimum age of a part that no resumable upload knows."""


def make_receive_in_parts(
    runtime: Runtime, store: Store, spool: Spool, accept: AcceptUpload, decorate: Decorators
) -> ReceiveInParts:
    """Return the use case that receives files in parts."""
    limits = runtime.settings.limits
    ports = decorate.resumable(
        ResumablePorts(uploads=_resumable_uploads(runtime), store=store.port, spool=spool)
    )
    return ReceiveInParts(
        uploads=ports.uploads,
        store=ports.store,
        spool=ports.spool,
        accept=accept,
        rules=PartRules(
            max_file_bytes=limits.max_file_size_bytes,
            part_bytes=runtime.settings.store.resumable_part_bytes,
            max_open=limits.resumable_uploads_per_account,
            lifetime_seconds=limits.resumable_seconds,
            lease_seconds=runtime.settings.store.timeout_seconds + _LEASE_MARGIN_SECONDS,
        ),
        clock=utc_now,
    )


def make_remove_parts(runtime: Runtime, store: Store) -> RemoveParts:
    """Return the janitor's work: remove parts of resumable uploads that are over."""
    return RemoveParts(
        _resumable_uploads(runtime),
        store.port,
        lease_seconds=runtime.settings.limits.upload_lease_seconds,
        interval_seconds=runtime.settings.janitor.interval_seconds,
    )


def make_remove_stray_parts(
    runtime: Runtime, store: Store, inventory: StoreInventory
) -> RemoveStrayParts:
    """Return the janitor's work: remove parts that no resumable upload knows."""
    return RemoveStrayParts(
        inventory=inventory,
        uploads=_resumable_uploads(runtime),
        store=store.port,
        young_seconds=max(_YOUNG_SECONDS_MIN, 2 * runtime.settings.limits.upload_lease_seconds),
        clock=utc_now,
    )


def _resumable_uploads(runtime: Runtime) -> DatabaseResumableUploads:
    return DatabaseResumableUploads(
        runtime.engine,
        timeout_seconds=runtime.settings.database.timeout_seconds,
        lifetime_seconds=runtime.settings.limits.resumable_seconds,
    )
