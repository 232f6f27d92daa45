"""
The port `ObjectStore` with S3.

An object is sent in one PUT with a known length and an explicit SHA-256, which the server verifies;
`put` signs it. Trailers and the default CRC are off, since several servers do not support them.
Larger objects are sent in parts by `multipart`.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
from typing_extensions import override

from healthingest_service.adapters.s3.body import FileBody
from healthingest_service.adapters.s3.bucket import (
    ATTEMPTS,
    CONTENT_TYPE,
    PAUSE_SECONDS,
    Bucket,
    Encryption,
    encryption_arguments,
    metadata_of,
    stored_object,
)
from healthingest_service.adapters.s3.client import (
    S3Access,
    call_idempotent,
    call_once,
    call_with_deadline,
    open_connection,
    status_of,
)
from healthingest_service.adapters.s3.erasing import erase, unfinished, versions
from healthingest_service.adapters.s3.multipart import MultipartPut
from healthingest_service.adapters.s3.put import ObjectPut, ObjectSender
from healthingest_service.uploads.errors import (
    ObjectLostError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.model import NewObject, StoredObject
from healthingest_service.uploads.ports import (
    SMALL_BODY_BYTES,
    Heartbeat,
    ObjectStore,
    no_heartbeat,
)

_CHUNK_BYTES: Final = 256 * 1024
_NOT_THERE: Final = frozenset({404, 416})
"""Statuses of a GET with `Range`: no such object, or it ends before the range."""
DEFAULT_PART_BYTES: Final = 64 * 1024 * 1024


@asynccontextmanager
async def open_s3_store(
    access: S3Access,
    *,
    encryption: Encryption = "None",
    kms_key_id: str | None = None,
    part_bytes: int = DEFAULT_PART_BYTES,
) -> AsyncIterator["S3Store"]:
    """
    Open an object store; the first call connects.

    Objects larger than *part_bytes* are sent in parts of that size.
    """
    async with open_connection(access) as connection:
        creating = encryption_arguments(encryption, kms_key_id)
        bucket = Bucket(connection.client, access.bucket, creating, access.timeout_seconds)
        store = S3Store(bucket, ObjectSender(connection, access.bucket), part_bytes)
        try:
            yield store
        finally:
            await store.settle()


class S3Store(ObjectStore):
    """Stores and reads objects of one bucket."""

    def __init__(self, bucket: Bucket, sender: ObjectSender, part_bytes: int) -> None:
        self.bucket: Final = bucket
        self._sender = sender
        self._part_bytes = part_bytes
        self._undoing: set[asyncio.Task[None]] = set()

    async def put(self, new: NewObject, *, heartbeat: Heartbeat = no_heartbeat) -> None:
        """
        See `ObjectStore.put`.

        Makes up to three attempts within one deadline, for the object or for each part of it. After
        an unclear answer a HEAD request shows whether the object is stored.
        """
        if isinstance(new.content, Path) and new.size_bytes > self._part_bytes:
            parts = MultipartPut(self.bucket, new, new.content, self._part_bytes, self._undoing)
            await parts.run(heartbeat)
            return
        await heartbeat()
        try:
            async with asyncio.timeout(self.bucket.timeout_seconds):
                await self._put_until_clear(new)
        except TimeoutError as error:
            raise StoreUnavailableError from error

    async def settle(self) -> None:
        """Wait until the uploads of cancelled calls are aborted; each abort has a deadline."""
        if self._undoing:
            await asyncio.wait(self._undoing)

    async def _put_until_clear(self, new: NewObject) -> None:
        for attempt in range(ATTEMPTS):
            try:
                await self._put_once(new)
            except StoreUnavailableError:
                if await self._is_stored(new):
                    return
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
            except StoreRefusedError as error:
                if attempt > 0:  # an earlier attempt may still succeed
                    raise StoreUnavailableError from error
                raise
            else:
                return

    async def _put_once(self, new: NewObject) -> None:
        put = ObjectPut(
            key=new.key,
            size_bytes=new.size_bytes,
            sha256=new.sha256,
            content_type=CONTENT_TYPE,
            metadata=metadata_of(new),
            creating=self.bucket.creating,
        )
        if isinstance(new.content, bytes):
            content = new.content
            checksum = await call_once(lambda: self._sender.send(put, content))
        else:
            checksum = await self._send_file(put, new.content)
        if checksum not in {None, put.checksum}:  # the server stored other bytes
            raise StoreUnavailableError

    async def _send_file(self, put: ObjectPut, path: Path) -> str | None:
        # Not in a thread: if that were cancelled, the file would stay open.
        file = path.open("rb")
        try:
            # A file is sent after "100 Continue", a round trip that costs more than a small body.
            is_small = put.size_bytes <= SMALL_BODY_BYTES
            body = file.read(put.size_bytes) if is_small else FileBody(file, 0, put.size_bytes)
            checksum: str | None = await call_once(lambda: self._sender.send(put, body))
        finally:
            file.close()
        return checksum

    async def _is_stored(self, new: NewObject) -> bool:
        try:
            found = await self.head(new.key)
        except (StoreUnavailableError, StoreRefusedError):
            return False
        return found is not None and (found.size_bytes, found.sha256) == (
            new.size_bytes,
            new.sha256,
        )

    @override
    async def head(self, key: str) -> StoredObject | None:
        answer = await self.bucket.head(key)
        return None if answer is None else stored_object(answer)

    @override
    async def read(self, key: str) -> AsyncIterator[bytes]:
        bucket = self.bucket
        answer = await call_idempotent(
            bucket.timeout_seconds, lambda: bucket.client.get_object(Bucket=bucket.name, Key=key)
        )
        body = answer["Body"]
        try:
            while chunk := await call_with_deadline(
                bucket.timeout_seconds, lambda: body.read(_CHUNK_BYTES)
            ):
                yield chunk
        finally:
            body.close()

    @override
    async def remove(self, key: str) -> None:
        bucket = self.bucket
        await call_idempotent(
            bucket.timeout_seconds, lambda: bucket.client.delete_object(Bucket=bucket.name, Key=key)
        )

    @override
    async def erase(self, key: str) -> int:
        return await erase(self.bucket, key)

    @override
    async def remains(self, key: str) -> int:
        return len(await versions(self.bucket, key)) + len(await unfinished(self.bucket, key))

    @override
    async def read_range(
        self, key: str, *, offset: int, size_bytes: int
    ) -> AsyncGenerator[bytes, None]:
        wanted = f"bytes={offset}-{offset + size_bytes - 1}"
        bucket = self.bucket
        try:
            answer = await call_idempotent(
                bucket.timeout_seconds,
                lambda: bucket.client.get_object(Bucket=bucket.name, Key=key, Range=wanted),
            )
        except StoreRefusedError as error:
            if status_of(error.__cause__) in _NOT_THERE:
                raise ObjectLostError from error
            raise
        body = answer["Body"]
        try:
            if answer["ContentLength"] != size_bytes:
                raise ObjectLostError
            left = size_bytes
            while left:
                chunk = await _next_chunk(body, min(left, _CHUNK_BYTES), bucket.timeout_seconds)
                left -= len(chunk)
                yield chunk
        finally:
            body.close()

    @override
    async def check(self) -> None:
        bucket = self.bucket
        await call_idempotent(
            bucket.timeout_seconds, lambda: bucket.client.head_bucket(Bucket=bucket.name)
        )


# ANN401: aiobotocore has no types
async def _next_chunk(body: Any, size_bytes: int, timeout_seconds: float) -> bytes:  # noqa: ANN401
    """
    Return the next 1 to *size_bytes* bytes of a response.

    Raises:
        StoreUnavailableError: the response ended early, broke off, or missed the deadline.
    """
    try:
        chunk: bytes = await call_with_deadline(timeout_seconds, lambda: body.read(size_bytes))
    except (aiohttp.ClientError, StoreRefusedError) as error:
        raise StoreUnavailableError from error
    if not chunk:
        raise StoreUnavailableError
    return chunk
