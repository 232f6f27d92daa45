"""
Multipart uploads of S3: create, send the parts, complete, or abort.

Each part is sent with its SHA-256, which the server verifies. The checksum of the object is then
the hash of the hashes of its parts (the "composite" checksum, with a dash and the number of parts),
which is compared, too. A part is streamed from the file, never held in memory. An upload that fails
or is cancelled is aborted; if that fails, the janitor aborts it later.
"""

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from healthingest_service.adapters.s3.body import FileBody
from healthingest_service.adapters.s3.bucket import (
    ATTEMPTS,
    CONTENT_TYPE,
    PAUSE_SECONDS,
    Bucket,
    metadata_of,
    stored_object,
)
from healthingest_service.adapters.s3.client import call_once, call_with_deadline
from healthingest_service.uploads.errors import StoreRefusedError, StoreUnavailableError
from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.ports import Heartbeat

MAX_PARTS: Final = 10_000
"""Limit of S3: https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""
UNDO_SECONDS: Final = 5.0
"""Deadline to abort a failed or cancelled upload."""
ASSEMBLED_BYTES_PER_SECOND: Final = 16 * 1024 * 1024
"""Slowest expected rate of completing; AWS may take minutes, and versitygw copies the parts."""
_READ_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the file. `number` counts from 1."""

    number: int
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class SentPart:
    """A part that the server has verified."""

    number: int
    etag: str
    digest: bytes

    @property
    def checksum(self) -> str:
        """The SHA-256 of the part in the format of S3: base64."""
        return base64.b64encode(self.digest).decode()


def parts_of(size_bytes: int, part_bytes: int) -> list[Part]:
    """Split a file into parts of *part_bytes*, or larger ones if there were over `MAX_PARTS`."""
    length = max(part_bytes, -(-size_bytes // MAX_PARTS))
    offsets = range(0, size_bytes, length)
    return [
        Part(number, at, min(length, size_bytes - at)) for number, at in enumerate(offsets, start=1)
    ]


def composite(parts: Sequence[SentPart]) -> str:
    """Return the composite checksum of an object with *parts*."""
    digest = hashlib.sha256(b"".join(part.digest for part in parts)).digest()
    return f"{base64.b64encode(digest).decode()}-{len(parts)}"


class MultipartPut:
    """One multipart upload of an object. While it is aborted, its task is in the set *undoing*."""

    def __init__(
        self,
        bucket: Bucket,
        wanted: NewObject,
        path: Path,
        part_bytes: int,
        undoing: set[asyncio.Task[None]],
    ) -> None:
        self._bucket = bucket
        self._wanted = wanted
        self._path = path
        self._part_bytes = part_bytes
        self._undoing = undoing
        self._sent: list[SentPart] = []
        self._is_completing = False

    async def run(self, heartbeat: Heartbeat) -> None:
        """
        Store the object; see `ObjectStore.put`.

        *heartbeat* is called before each part and while the upload is completed.
        """
        beginning = asyncio.ensure_future(self._begin())
        try:
            upload_id = await asyncio.shield(beginning)
            await self._send(upload_id, heartbeat)
            self._is_completing = True
            await self._finish(upload_id, heartbeat)
        except BaseException:
            await self._undo(beginning)
            raise

    async def _begin(self) -> str:
        wanted = self._wanted
        answer = await self._repeated(
            lambda: self._bucket.client.create_multipart_upload(
                Bucket=self._bucket.name,
                Key=wanted.key,
                ContentType=CONTENT_TYPE,
                ChecksumAlgorithm="SHA256",
                Metadata=metadata_of(wanted),
                **self._bucket.creating,
            )
        )
        return str(answer["UploadId"])

    async def _send(self, upload_id: str, heartbeat: Heartbeat) -> None:
        whole = hashlib.sha256()
        for part in parts_of(self._wanted.size_bytes, self._part_bytes):
            await heartbeat()
            digest = await asyncio.to_thread(_digest, self._path, part, whole)
            answer = await self._repeated(partial(self._send_part, upload_id, part, digest))
            self._sent.append(SentPart(part.number, answer["ETag"], digest))
        if whole.hexdigest() != self._wanted.sha256:
            raise StoreRefusedError

    # ANN401: botocore's answer
    async def _send_part(self, upload_id: str, part: Part, digest: bytes) -> Any:  # noqa: ANN401
        # Not in a thread: if that were cancelled, the file would stay open.
        file = self._path.open("rb")
        try:
            return await self._bucket.client.upload_part(
                Bucket=self._bucket.name,
                Key=self._wanted.key,
                UploadId=upload_id,
                PartNumber=part.number,
                Body=FileBody(file, part.offset, part.size_bytes),
                ContentLength=part.size_bytes,
                ChecksumSHA256=base64.b64encode(digest).decode(),
            )
        finally:
            file.close()

    async def _finish(self, upload_id: str, heartbeat: Heartbeat) -> None:
        """Complete the upload; the deadline allows the server to copy all parts."""
        seconds = (
            self._bucket.timeout_seconds + self._wanted.size_bytes / ASSEMBLED_BYTES_PER_SECOND
        )
        finishing = asyncio.ensure_future(
            call_with_deadline(seconds, lambda: self._complete_until_clear(upload_id))
        )
        try:
            while not finishing.done():
                await heartbeat()
                await asyncio.wait({finishing}, timeout=self._bucket.timeout_seconds)
        finally:
            finishing.cancel()
            await asyncio.wait({finishing})
        finishing.result()

    async def _complete_until_clear(self, upload_id: str) -> None:
        for attempt in range(ATTEMPTS):
            try:
                answer = await call_once(lambda: self._complete(upload_id))
            except StoreUnavailableError:
                if await self._is_stored():
                    return
                if attempt == ATTEMPTS - 1:
                    raise
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
            except StoreRefusedError as error:
                if attempt == 0:
                    raise
                if await self._is_stored():  # an earlier attempt has completed the upload
                    return
                raise StoreUnavailableError from error
            else:
                if answer.get("ChecksumSHA256") not in {None, composite(self._sent)}:
                    raise StoreUnavailableError
                return

    async def _complete(self, upload_id: str) -> Any:  # noqa: ANN401 - botocore's answer
        parts = [
            {"PartNumber": p.number, "ETag": p.etag, "ChecksumSHA256": p.checksum}
            for p in self._sent
        ]
        return await self._bucket.client.complete_multipart_upload(
            Bucket=self._bucket.name,
            Key=self._wanted.key,
            UploadId=upload_id,
            MultipartUpload={"Parts": parts},
        )

    async def _is_stored(self) -> bool:
        try:
            return await self._exists()
        except (StoreUnavailableError, StoreRefusedError):
            return False

    async def _exists(self) -> bool:
        answer = await self._bucket.head(self._wanted.key)
        return answer is not None and _is_wanted(answer, self._wanted, composite(self._sent))

    async def _undo(self, beginning: "asyncio.Future[str]") -> None:
        """
        Abort the upload, also if this task is cancelled.

        If it is cancelled again, the abort continues, and `S3Store.settle` waits for it.
        """
        undoing = asyncio.ensure_future(self._abort(beginning))
        self._undoing.add(undoing)
        undoing.add_done_callback(self._undoing.discard)
        await asyncio.shield(undoing)

    async def _abort(self, beginning: "asyncio.Future[str]") -> None:
        """Abort the upload, unless the object is stored or may still be stored."""
        with suppress(StoreUnavailableError, StoreRefusedError, TimeoutError):
            async with asyncio.timeout(UNDO_SECONDS):
                upload_id = await beginning
                if self._is_completing and await self._exists():
                    return
                await self._repeated(
                    lambda: self._bucket.client.abort_multipart_upload(
                        Bucket=self._bucket.name, Key=self._wanted.key, UploadId=upload_id
                    )
                )

    # ANN401: botocore's answers
    async def _repeated(self, call: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        """Return the response of an idempotent call: up to three attempts within one deadline."""

        async def attempts() -> Any:  # noqa: ANN401 - botocore's answers
            for attempt in range(ATTEMPTS - 1):
                with suppress(StoreUnavailableError):
                    return await call_once(call)
                await asyncio.sleep(PAUSE_SECONDS * 2**attempt)
            return await call_once(call)

        return await call_with_deadline(self._bucket.timeout_seconds, attempts)


def _digest(path: Path, part: Part, whole: "hashlib._Hash") -> bytes:
    """Return the SHA-256 of the part, and update *whole* with its bytes."""
    digest = hashlib.sha256()
    left = part.size_bytes
    with path.open("rb") as file:
        file.seek(part.offset)
        while left and (data := file.read(min(left, _READ_BYTES))):
            digest.update(data)
            whole.update(data)
            left -= len(data)
    return digest.digest()


def _is_wanted(answer: Mapping[str, Any], wanted: NewObject, expected: str) -> bool:
    """
    Return whether the response of a HEAD request describes the object.

    It compares the composite checksum if the number of parts is the same, else the SHA-256.
    """
    checksum = answer.get("ChecksumSHA256") or ""
    if answer["ContentLength"] != wanted.size_bytes:
        return False
    if checksum.rpartition("-")[2] == expected.rpartition("-")[2]:
        return bool(checksum == expected)
    return stored_object(answer).sha256 == wanted.sha256
