"""
Removes everything under a key of a bucket.

It needs the permissions `s3:ListBucketVersions`, `s3:DeleteObjectVersion`,
`s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`; to tell a lock from a refusal also
`s3:GetObjectRetention` and `s3:GetObjectLegalHold`.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from healthingest_service.adapters.s3.bucket import Bucket
from healthingest_service.adapters.s3.client import call_idempotent, status_of
from healthingest_service.uploads.errors import ObjectLockedError, StoreRefusedError

_NOT_FOUND: Final = 404


async def erase(bucket: Bucket, key: str) -> int:
    """
    Remove everything under *key*; see `ObjectStore.erase`.

    Unfinished uploads go first, since each could become a version.
    """
    uploads = await unfinished(bucket, key)
    for upload_id in uploads:
        await _remove(
            bucket, bucket.client.abort_multipart_upload, {"Key": key, "UploadId": upload_id}
        )
    found = await versions(bucket, key)
    locks: list[ObjectLockedError] = []
    for version_id in found:
        try:
            await _erase_version(bucket, key, version_id)
        except ObjectLockedError as error:
            locks.append(error)
    if locks:
        ends = [lock.until for lock in locks]
        known = [end for end in ends if end is not None]
        raise ObjectLockedError(max(known) if len(known) == len(ends) else None)
    return len(uploads) + len(found)


async def versions(bucket: Bucket, key: str) -> list[str]:
    """Return the ids of all versions and delete markers of *key*."""
    found: list[str] = []
    arguments: dict[str, object] = {"Prefix": key}
    while True:
        answer = await _call(bucket, bucket.client.list_object_versions, arguments)
        for kind in ("Versions", "DeleteMarkers"):
            found += [one["VersionId"] for one in answer.get(kind, ()) if one["Key"] == key]
        if not answer.get("IsTruncated", False):
            return found
        arguments |= {
            "KeyMarker": answer["NextKeyMarker"],
            "VersionIdMarker": answer.get("NextVersionIdMarker", ""),
        }


async def unfinished(bucket: Bucket, key: str) -> list[str]:
    """Return the ids of the multipart uploads of *key* that are neither completed nor aborted."""
    found: list[str] = []
    arguments: dict[str, object] = {"Prefix": key}
    while True:
        answer = await _call(bucket, bucket.client.list_multipart_uploads, arguments)
        found += [one["UploadId"] for one in answer.get("Uploads", ()) if one["Key"] == key]
        if not answer.get("IsTruncated", False):
            return found
        arguments |= {
            "KeyMarker": answer["NextKeyMarker"],
            "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
        }


async def _erase_version(bucket: Bucket, key: str, version_id: str) -> None:
    """
    Remove one version.

    Raises:
        ObjectLockedError: it is under an object lock or a legal hold.
    """
    where = {"Key": key, "VersionId": version_id}
    try:
        await _remove(bucket, bucket.client.delete_object, where)
    except StoreRefusedError as error:
        if await _is_held(bucket, where):
            raise ObjectLockedError(None) from error
        until = await _locked_until(bucket, where)
        if until is not None and until > datetime.now(UTC):
            raise ObjectLockedError(until) from error
        raise


async def _is_held(bucket: Bucket, where: Mapping[str, object]) -> bool:
    with suppress(StoreRefusedError):  # the server has none, or there is none on the version
        answer = await _call(bucket, bucket.client.get_object_legal_hold, where)
        return bool(answer.get("LegalHold", {}).get("Status") == "ON")
    return False


async def _locked_until(bucket: Bucket, where: Mapping[str, object]) -> datetime | None:
    with suppress(StoreRefusedError):
        answer = await _call(bucket, bucket.client.get_object_retention, where)
        until: datetime | None = answer.get("Retention", {}).get("RetainUntilDate")
        return until
    return None


async def _remove(
    bucket: Bucket, call: Callable[..., Awaitable[Any]], where: Mapping[str, object]
) -> None:
    try:
        await _call(bucket, call, where)
    except StoreRefusedError as error:
        if status_of(error.__cause__) != _NOT_FOUND:
            raise


async def _call(
    bucket: Bucket, call: Callable[..., Awaitable[Any]], arguments: Mapping[str, object]
) -> Any:  # noqa: ANN401 - responses of botocore have no types
    return await call_idempotent(
        bucket.timeout_seconds, lambda: call(Bucket=bucket.name, **arguments)
    )
