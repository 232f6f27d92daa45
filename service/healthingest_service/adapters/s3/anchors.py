"""The port `Anchors` with S3."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from typing_extensions import override

from healthingest_contract.object_keys import ANCHOR_PREFIX
from healthingest_service.adapters.s3.bucket import Encryption, encryption_arguments
from healthingest_service.adapters.s3.client import S3Access, call_idempotent, open_client
from healthingest_service.audit.anchors import anchor_body, anchor_key, parse_anchor_key
from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.model import Anchor
from healthingest_service.audit.ports import Anchors
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError


@asynccontextmanager
async def open_s3_anchors(
    access: S3Access, *, encryption: Encryption = "None", kms_key_id: str | None = None
) -> AsyncIterator["S3Anchors"]:
    """Open the anchors in the bucket; the first call connects."""
    async with open_client(access) as client:
        creating = encryption_arguments(encryption, kms_key_id)
        yield S3Anchors(client, access.bucket, creating, access.timeout_seconds)


class S3Anchors(Anchors):
    """Anchors as objects of one bucket."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiobotocore makes its class at run time
        bucket: str,
        creating: Mapping[str, str],
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._creating = creating
        self._timeout_seconds = timeout_seconds

    @override
    async def write(self, anchor: Anchor) -> None:
        await self._call(
            lambda: self._client.put_object(
                Bucket=self._bucket,
                Key=anchor_key(anchor),
                Body=anchor_body(anchor),
                ContentType="application/json",
                **self._creating,
            )
        )

    @override
    async def all(self) -> AsyncIterator[Anchor]:
        arguments: dict[str, object] = {"Bucket": self._bucket, "Prefix": ANCHOR_PREFIX}
        while True:
            answer = await self._call(lambda: self._client.list_objects_v2(**arguments))
            for one in answer.get("Contents", ()):
                anchor = parse_anchor_key(one["Key"])
                if anchor is not None:
                    yield anchor
            if not answer.get("IsTruncated", False):
                return
            arguments["ContinuationToken"] = answer["NextContinuationToken"]

    # ANN401: responses of botocore have no types
    async def _call(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        try:
            return await call_idempotent(self._timeout_seconds, call)
        except (StoreUnavailableError, StoreRefusedError) as error:
            raise AuditUnavailableError from error
