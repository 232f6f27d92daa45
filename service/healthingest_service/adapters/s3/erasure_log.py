"""The port `ErasureLog` with S3."""

from collections.abc import Sequence

from typing_extensions import override

from healthingest_contract.object_keys import ERASURES_PREFIX
from healthingest_service.adapters.s3.bucket import Bucket
from healthingest_service.adapters.s3.client import call_idempotent, call_with_deadline
from healthingest_service.erasure.documents import MAX_BYTES
from healthingest_service.erasure.ports import ErasureLog

_CONTENT_TYPE = "application/json"


class S3ErasureLog(ErasureLog):
    """Objects of one bucket."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    @override
    async def put(self, name: str, content: bytes) -> None:
        bucket = self._bucket
        await call_idempotent(
            bucket.timeout_seconds,
            lambda: bucket.client.put_object(
                Bucket=bucket.name,
                Key=name,
                Body=content,
                ContentType=_CONTENT_TYPE,
                **bucket.creating,
            ),
        )

    @override
    async def read(self, name: str) -> bytes:
        bucket = self._bucket
        answer = await call_idempotent(
            bucket.timeout_seconds, lambda: bucket.client.get_object(Bucket=bucket.name, Key=name)
        )
        body = answer["Body"]
        try:
            content = bytearray()
            while len(content) <= MAX_BYTES:
                chunk = await call_with_deadline(bucket.timeout_seconds, lambda: body.read(65536))
                if not chunk:
                    break
                content += chunk
            return bytes(content)
        finally:
            body.close()

    @override
    async def names(self, *, after: str, limit: int) -> Sequence[str]:
        bucket = self._bucket
        answer = await call_idempotent(
            bucket.timeout_seconds,
            lambda: bucket.client.list_objects_v2(
                Bucket=bucket.name, Prefix=ERASURES_PREFIX, StartAfter=after, MaxKeys=limit
            ),
        )
        return sorted((one["Key"] for one in answer.get("Contents", ())), key=str.encode)
