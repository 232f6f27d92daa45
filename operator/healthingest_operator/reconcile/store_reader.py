"""The keys by which consumers read the bucket: they must read, and must not write."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from healthingest_contract.conditions import ConditionType, Reason
from healthingest_operator.api.manifest import ManifestView
from healthingest_operator.reconcile.credentials.user_secrets import Credentials
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import ObjectStore, StoreAccess
from healthingest_operator.resources.secrets import digest
from healthingest_operator.status import reader_causes as causes
from healthingest_operator.status.conditions import ConditionUpdate, condition_false, condition_true

_CAUSES: Final = {
    Reason.AUTHENTICATION_FAILED: causes.READER_LOGIN,
    Reason.PERMISSION_DENIED: causes.READER_FORBIDDEN,
}


@dataclass(frozen=True, slots=True)
class ReaderResult:
    """The condition `ReaderReady`, and a fingerprint of the keys that were checked."""

    update: ConditionUpdate
    checked: str | None = None


async def check_reader(
    store: ObjectStore,
    found: Credentials,
    values: Mapping[str, str],
    status: ManifestView,
    *,
    bucket_is_ready: bool,
) -> ReaderResult | None:
    """
    Return the result for the keys of consumers; None: the spec names none.

    Keys that passed before are not checked again. Nothing is written into a bucket that is not
    ready, because it may belong to others. Uploads work without consumers, so `Ready` does not
    depend on the result.
    """
    reader = found.store_reader
    if reader is None:
        return None
    if not bucket_is_ready:
        waiting = Reason.WAITING_FOR_DEPENDENCIES
        return ReaderResult(
            condition_false(ConditionType.READER_READY, waiting, "waits for the bucket")
        )
    try:
        if isinstance(reader, DependencyError):
            raise reader
        keys = (reader.endpoint, reader.bucket, reader.access_key_id, reader.secret_access_key)
        checked = digest(values, (), "reader", *keys)
        if not _passed(status, checked):
            await _check(store, found, reader)
    except DependencyError as error:
        return ReaderResult(
            condition_false(ConditionType.READER_READY, error.reason, error.message)
        )
    message = f"consumers may read bucket {reader.bucket}, and not write"
    return ReaderResult(condition_true(ConditionType.READER_READY, message), checked)


def _passed(status: ManifestView, checked: str) -> bool:
    held = any(
        (entry["type"], entry["status"]) == (ConditionType.READER_READY, "True")
        for entry in status.get("conditions") or ()
    )
    return held and (status.get("objectStore") or {}).get("readerChecked") == checked


async def _check(store: ObjectStore, found: Credentials, reader: StoreAccess) -> None:
    """
    Check the rights of *reader*.

    Raises:
        DependencyError: it may not read, or it may write.
    """
    pods = found.store
    writer = pods if isinstance(pods, StoreAccess) and pods.has_keys else found.store_admin
    if isinstance(writer, DependencyError):
        raise writer
    try:
        may_write = await store.may_write(reader, writer)
    except DependencyError as error:
        cause = _CAUSES.get(error.reason)
        if cause is None:
            raise
        raise DependencyError.of(cause, bucket=reader.bucket) from error
    if may_write:
        raise DependencyError.of(causes.READER_MAY_WRITE, bucket=reader.bucket)
