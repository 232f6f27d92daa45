"""The port `Anchors` with S3."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import date
from typing import Any

from typing_extensions import override

from healthingest_contract.object_keys import ANCHOR_PREFIX
from healthingest_service.adapters.s3.bucket import Bucket, Encryption, encryption_arguments
from healthingest_service.adapters.s3.client import S3Access, call_idempotent, open_client
from healthingest_service.adapters.s3.erasing import erase
from healthingest_service.audit.anchors import (
    anchor_body,
    anchor_key,
    first_key_of,
    parse_anchor_key,
)
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Anchor
from healthingest_service.audit.ports import Anchors
from healthingest_service.uploads.errors import (
    ObjectLockedError,
    StoreRefusedError,
    StoreUnavailableError,
)


@asynccontextmanager
async def open_s3_anchors(
    access: S3Access, *, encryption: Encryption = "None", kms_key_id: str | None = None
) -> AsyncIterator["S3Anchors"]:
    """Open the anchors in the bucket; the first call connects."""
    async with open_client(access) as client:
        creating = encryption_arguments(encryption, kms_key_id)
        yield S3Anchors(Bucket(client, access.bucket, creating, access.timeout_seconds))


class S3Anchors(Anchors):
    """Anchors as objects of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @override
    async def write(self, anchor: Anchor) -> None:
        bucket = self._bucket
        await self._call(
            lambda: bucket.client.put_object(
                Bucket=bucket.name,
                Key=anchor_key(anchor),
                Body=anchor_body(anchor),
                ContentType="application/json",
                **bucket.creating,
            )
        )

    @override
    async def all(self) -> AsyncIterator[Anchor]:
        async for keys in self._pages():
            for anchor in map(parse_anchor_key, keys):
                if anchor is not None:
                    yield anchor

    @override
    async def of_days_before(self, day: date) -> AsyncIterator[Anchor]:
        end = first_key_of(day)
        async for keys in self._pages():
            for key in keys:
                anchor = parse_anchor_key(key)
                if anchor is not None and key < end:
                    yield anchor
            if keys and keys[-1] >= end:  # the store lists keys in the order of their bytes
                return

    @override
    async def remove(self, anchor: Anchor) -> bool:
        try:
            await erase(self._bucket, anchor_key(anchor))
        except (ObjectLockedError, StoreRefusedError):
            return False
        except StoreUnavailableError as error:
            raise AuditUnavailableError from error
        return True

    async def _pages(self) -> AsyncIterator[Sequence[str]]:
        bucket = self._bucket
        arguments: dict[str, object] = {"Bucket": bucket.name, "Prefix": ANCHOR_PREFIX}
        while True:
            answer = await self._call(lambda: bucket.client.list_objects_v2(**arguments))
            yield sorted(one["Key"] for one in answer.get("Contents", ()))
            if not answer.get("IsTruncated", False):
                return
            arguments["ContinuationToken"] = answer["NextContinuationToken"]

    # ANN401: responses of botocore have no types
    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        try:
            return await call_idempotent(self._bucket.timeout_seconds, call)
        except (StoreUnavailableError, StoreRefusedError) as error:
            raise AuditUnavailableError from error
