"""
The port `StoreInventory` with S3.

It needs the permissions `s3:ListBucket`, `s3:ListBucketMultipartUploads` and
`s3:AbortMultipartUpload`. It deletes no object.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
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
    """Open an inventory of the bucket; the first call connects."""
    async with open_client(access) as client:
        yield S3Inventory(client, access.bucket, access.timeout_seconds)


class S3Inventory(StoreInventory):
    """Lists the objects and multipart uploads of one bucket."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiobotocore makes its class at run time
        bucket: str,
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._timeout_seconds = timeout_seconds

    async def page(self, *, after: str, limit: int, prefix: str = PREFIX) -> ObjectPage:
        """
        See `StoreInventory.page`.

        Keys with a NUL are skipped: no upload has one, and PostgreSQL cannot store them.
        """
        arguments: dict[str, object] = {"Bucket": self._bucket, "Prefix": prefix, "MaxKeys": limit}
        if after:
            arguments["StartAfter"] = after
        while True:
            answer = await self._call(self._client.list_objects_v2, arguments)
            found = [
                ListedObject(one["Key"], one["Size"], one["LastModified"])
                for one in answer.get("Contents", ())
                if "\0" not in one["Key"]
            ]
            is_last = not answer.get("IsTruncated", False)
            if found or is_last:
                return ObjectPage(sorted(found, key=lambda one: one.key.encode()), is_last)
            arguments["ContinuationToken"] = answer["NextContinuationToken"]

    @override
    async def unfinished(self) -> AsyncIterator[UnfinishedPut]:
        arguments: dict[str, object] = {"Bucket": self._bucket, "Prefix": PREFIX}
        while True:
            answer = await self._call(self._client.list_multipart_uploads, arguments)
            for one in answer.get("Uploads", ()):
                yield UnfinishedPut(one["Key"], one["UploadId"], one["Initiated"])
            if not answer.get("IsTruncated", False):
                return
            arguments |= {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer.get("NextUploadIdMarker", ""),
            }

    @override
    async def abort(self, put: UnfinishedPut) -> None:
        arguments = {"Bucket": self._bucket, "Key": put.key, "UploadId": put.id}
        try:
            await self._call(self._client.abort_multipart_upload, arguments)
        except StoreRefusedError as error:
            if status_of(error.__cause__) != _NOT_FOUND:
                raise

    async def _call(
        self, call: Callable[..., Awaitable[Any]], arguments: Mapping[str, object]
    ) -> Any:  # noqa: ANN401 - responses of botocore have no types
        return await call_idempotent(self._timeout_seconds, lambda: call(**arguments))
