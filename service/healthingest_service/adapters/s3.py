"""
The port `ObjectStore` on any S3.

Every object goes in one PUT of known length with an explicit SHA-256 that the server verifies: no trailers and no
default CRC, which several servers do not understand. Retries stand in `S3Store.put`.
"""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from healthingest_service.adapters.s3_client import asked, open_client, status_of, translated, within
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import Sha256, StoredObject

Encryption = Literal["None", "SSE-S3", "SSE-KMS"]

_CHUNK_BYTES: Final = 256 * 1024
_ATTEMPTS: Final = 3
_PAUSE_SECONDS: Final = 0.2
_HASH_ENTRY: Final = "sha256"  # sent as x-amz-meta-sha256
_NOT_FOUND: Final = 404


@asynccontextmanager
async def open_s3_store(  # noqa: PLR0913 - the settings of one server
    *,
    endpoint: str | None,
    region: str,
    bucket: str,
    access_key_id: str | None,
    secret_access_key: str | None,
    encryption: Encryption,
    kms_key_id: str | None,
    timeout_seconds: float,
) -> AsyncIterator["S3Store"]:
    """
    A store on *bucket*; nothing is sent before the first call.

    Without *endpoint* it is AWS; without keys, the credentials of the machine or pod are used.
    """
    opening = open_client(
        endpoint=endpoint,
        region=region,
        access_key_id=access_key_id,
        secret_access_key=secret_access_key,
        timeout_seconds=timeout_seconds,
    )
    async with opening as client:
        yield S3Store(client, bucket, _encryption_arguments(encryption, kms_key_id), timeout_seconds)


@dataclass(frozen=True, slots=True)
class _PutArguments:
    key: str
    path: Path
    size_bytes: int
    sha256: str


class S3Store:
    """Objects of one bucket."""

    def __init__(
        self,
        client: Any,  # noqa: ANN401 - aiobotocore makes its class at run time
        bucket: str,
        put_arguments: dict[str, str],
        timeout_seconds: float,
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._put_arguments = put_arguments
        self._timeout_seconds = timeout_seconds

    async def put(self, key: str, path: Path, *, size_bytes: int, sha256: str) -> None:
        """
        See `ObjectStore.put`.

        Up to three attempts within one deadline; after an unclear answer a HEAD tells whether another is needed.
        """
        wanted = _PutArguments(key, path, size_bytes, sha256)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._put_until_clear(wanted)
        except TimeoutError as error:
            raise StoreUnavailableError from error

    async def _put_until_clear(self, wanted: _PutArguments) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                await self._put_once(wanted)
            except StoreUnavailableError:
                if await self._arrived(wanted):
                    return
                if attempt == _ATTEMPTS - 1:
                    raise
                await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
            except StoreRefusedError as error:
                if attempt > 0:  # this one is not there, but an earlier one may still arrive
                    raise StoreUnavailableError from error
                raise
            else:
                return

    async def _put_once(self, wanted: _PutArguments) -> None:
        # One system call; in a thread, a cancelled open would leave the file to nobody.
        file = wanted.path.open("rb")
        try:
            await translated(
                lambda: self._client.put_object(
                    Bucket=self._bucket,
                    Key=wanted.key,
                    Body=file,
                    ContentLength=wanted.size_bytes,
                    ContentType="application/avro",
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(wanted.sha256)).decode(),
                    Metadata={_HASH_ENTRY: wanted.sha256},
                    **self._put_arguments,
                )
            )
        finally:
            file.close()

    async def _arrived(self, wanted: _PutArguments) -> bool:
        try:
            found = await self.head(wanted.key)
        except (StoreUnavailableError, StoreRefusedError):
            return False
        return found is not None and (found.size_bytes, found.sha256) == (wanted.size_bytes, wanted.sha256)

    async def head(self, key: str) -> StoredObject | None:
        """
        See `ObjectStore.head`.

        The hash is the server's own checksum where it tells one, else the metadata that came with the verified PUT.
        """
        try:
            answer = await asked(
                self._timeout_seconds,
                lambda: self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED"),
            )
        except StoreRefusedError as error:
            if status_of(error.__cause__) == _NOT_FOUND:
                return None
            raise
        return StoredObject(answer["ContentLength"], _hash(answer))

    async def read(self, key: str) -> AsyncIterator[bytes]:
        """See `ObjectStore.read`."""
        answer = await asked(self._timeout_seconds, lambda: self._client.get_object(Bucket=self._bucket, Key=key))
        body = answer["Body"]
        try:
            while chunk := await within(self._timeout_seconds, lambda: body.read(_CHUNK_BYTES)):
                yield chunk
        finally:
            body.close()

    async def check(self) -> None:
        """See `ObjectStore.check`."""
        await asked(self._timeout_seconds, lambda: self._client.head_bucket(Bucket=self._bucket))


def _encryption_arguments(encryption: Encryption, kms_key_id: str | None) -> dict[str, str]:
    match encryption:
        case "None":
            return {}
        case "SSE-S3":
            return {"ServerSideEncryption": "AES256"}
        case "SSE-KMS":
            key = {} if kms_key_id is None else {"SSEKMSKeyId": kms_key_id}
            return {"ServerSideEncryption": "aws:kms", **key}


def _hash(answer: dict[str, Any]) -> Sha256 | None:
    checksum = answer.get("ChecksumSHA256")
    if checksum and "-" not in checksum:  # with a dash it is a checksum of checksums, of a multipart upload
        return Sha256(base64.b64decode(checksum).hex())
    noted = answer.get("Metadata", {}).get(_HASH_ENTRY)
    return None if noted is None else Sha256(noted)
