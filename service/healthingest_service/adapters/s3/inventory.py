"""
The port `StoreInventory` on any S3.

Needs the rights `s3:ListBucket`, `s3:ListBucketMultipartUploads` and `s3:AbortMultipartUpload`; it
deletes no object.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from typing_extensions import override

from healthingest_contract.object_keys import PREFIX
from healthingest_service.adapters.s3.client import (
    S3Access,
    call_idempotent,
    open_client,
    status_of,
)
from healthingest_service.uploads.errors import StoreRefusedError
from healthingest_service.uploads.upkeep_ports import (
    ListedObject,
    ObjectPage,
    StoreInventory,
    UnfinishedPut,
)

_NOT_FOUND: Final = 404


@asynccontextmanager
async def open_s3_inventory(access: S3Access) -> AsyncIterator["S3Inventory"]:
    """An inventory of the bucket; nothing is sent before the first call."""
    async with open_client(access) as client:
        yield S3Inventory(client, access.bucket, access.timeout_seconds)


class S3Inventory(StoreInventory):
    """What lies in one bucket."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiobotocore makes its class at run time
        bucket: str,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._timeout_seconds = timeout_seconds

    async def page(self, *, after: str, limit: int) -> ObjectPage:
        """
        See `StoreInventory.page`.

        Keys with a NUL, which no upload has and no database can hold, are left out.
        """
        words: dict[str, Any] = {"Bucket": self._bucket, "Prefix": PREFIX, "MaxKeys": limit}
        if after:
            words["StartAfter"] = after
        while True:
            answer = await self._ask(self._client.list_objects_v2, words)
            found = [
                ListedObject(one["Key"], one["Size"], one["LastModified"])
                for one in answer.get("Contents", ())
                if "\0" not in one["Key"]
            ]
            is_last = not answer.get("IsTruncated", False)
            if found or is_last:
                return ObjectPage(sorted(found, key=lambda one: one.key.encode()), is_last)
            words["ContinuationToken"] = answer["NextContinuationToken"]

    @override
    async def unfinished(self) -> AsyncIterator[UnfinishedPut]:
        words: dict[str, Any] = {"Bucket": self._bucket, "Prefix": PREFIX}
        while True:
            answer = await self._ask(self._client.list_multipart_uploads, words)
            for one in answer.get("Uploads", ()):
                yield UnfinishedPut(one["Key"], one["UploadId"], one["Initiated"])
            if not answer.get("IsTruncated", False):
                return
            words |= {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
            }

    @override
    async def abort(self, put: UnfinishedPut) -> None:
        words = {"Bucket": self._bucket, "Key": put.key, "UploadId": put.id}
        try:
            await self._ask(self._client.abort_multipart_upload, words)
        except StoreRefusedError as error:
            if status_of(error.__cause__) != _NOT_FOUND:
                raise

    async def _ask(self, call: Callable[..., Awaitable[Any]], words: dict[str, Any]) -> Any:  # noqa: ANN401 - botocore's answers
        """All of these calls may be repeated."""
        return await call_idempotent(self._timeout_seconds, lambda: call(**words))
