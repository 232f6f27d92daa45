"""The use case that accepts an upload: from a request body to a receipt."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from healthingest_contract.object_keys import ObjectKey
from healthingest_service.identity.model import Principal
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.errors import (
    BodyIncompleteError,
    FileTooLargeError,
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadNotFoundError,
)
from healthingest_service.uploads.ids import new_upload_id
from healthingest_service.uploads.model import (
    Accepted,
    IdempotencyKey,
    NewObject,
    Receipt,
    Sha256,
    Upload,
    UploadState,
    ValidationResult,
)
from healthingest_service.uploads.object_metadata import object_metadata
from healthingest_service.uploads.ports import (
    Begun,
    FileValidation,
    Gate,
    Ledger,
    ObjectStore,
    Spool,
    SpoolFile,
)
from healthingest_service.uploads.spans import Spans, no_spans
from healthingest_service.uploads.upload_lease import UploadLease

_INLINE_BYTES: Final = 64 * 1024
"""The worker gets the first bytes over its socket, and reads the rest from the spool file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """
    An upload to accept.

    `declared_size_bytes` is the file size, None if the client did not declare it. `min_size_bytes`
    is a lower bound of the file size, from the declared size of a form that contains the file.
    `traceparent` is the trace of the request (W3C Trace Context), which the message continues.
    """

    principal: Principal
    body: AsyncIterator[bytes]
    correlation_id: str
    idempotency_key: IdempotencyKey | None
    declared_size_bytes: int | None
    min_size_bytes: int = 0
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Received:
    """Size and hash of the received file."""

    size_bytes: int
    sha256: Sha256


class AcceptUpload:
    """
    Accepts an upload, or refuses it and leaves nothing behind.

    A call that ends early, also by cancellation, leaves at most a row in state `storing`, which the
    janitor settles.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        gate: Gate,
        spool: Spool,
        bucket: str,
        max_file_bytes: int,
        lease_seconds: float,
        clock: Callable[[], datetime],
        span: Spans = no_spans,
    ) -> None:
        self._ledger = ledger
        self._store = store
        self._gate = gate
        self._spool = spool
        self._bucket = bucket
        self._max_file_bytes = max_file_bytes
        self._lease_seconds = lease_seconds
        self._clock = clock
        self._span = span

    async def __call__(self, request: UploadRequest) -> Accepted:
        """
        Receive, validate and store the file, and return its receipt.

        The upload has succeeded when the second transaction (`Ledger.complete`) is committed.

        Raises:
            UploadError: the upload was not accepted; after an `UnavailableError` repeating is safe.
        """
        self._check_size(max(request.declared_size_bytes or 0, request.min_size_bytes))
        async with self._spool.open() as file:
            received, result = await self._validated(request, file)
            upload = describe(request, received, result, at=self._clock())
            begun = await self._begin(upload, request.idempotency_key)
            if begun.replayed:
                return Accepted(begun.upload.receipt, replayed=True)
            lease = UploadLease(
                self._ledger, begun.upload.id, seconds=self._lease_seconds, clock=self._clock
            )
            with self._span("store the object"):
                is_ours = begun.upload.id == upload.id
                await self._put(begun.upload, file.path, lease, is_ours=is_ours)
            with self._span("commit upload and message"):
                await self._complete(begun.upload, request.traceparent)
            return Accepted(begun.upload.receipt, replayed=False)

    async def _validated(
        self, request: UploadRequest, file: SpoolFile
    ) -> tuple[Received, ValidationResult]:
        with self._span("receive and validate"):
            async with self._gate.open() as check:
                received = await self._receive(request, file, check)
                return received, await check.finish()

    async def _begin(self, upload: Upload, key: IdempotencyKey | None) -> Begun:
        with self._span("begin the upload"):
            return await self._ledger.begin(
                upload, idempotency_key=key, lease_seconds=self._lease_seconds
            )

    async def _receive(
        self, request: UploadRequest, file: SpoolFile, check: FileValidation
    ) -> Received:
        size_bytes = validated_bytes = 0
        async for chunk in request.body:
            size_bytes += len(chunk)
            self._check_size(size_bytes)
            await file.write(chunk)
            if size_bytes <= _INLINE_BYTES:
                await check.feed(chunk)
                validated_bytes = size_bytes
            else:
                validated_bytes = await _validate_written(check, file, validated_bytes)
        if request.declared_size_bytes not in {None, size_bytes}:
            raise BodyIncompleteError
        sha256 = await file.finish()
        await _validate_written(check, file, validated_bytes)
        return Received(size_bytes, sha256)

    def _check_size(self, size_bytes: int) -> None:
        if size_bytes > self._max_file_bytes:
            raise FileTooLargeError(self._max_file_bytes)

    async def _put(self, upload: Upload, path: Path, lease: UploadLease, *, is_ours: bool) -> None:
        receipt = upload.receipt
        try:
            new = NewObject(
                receipt.object_key,
                path,
                receipt.file_size_bytes,
                receipt.file_hash,
                object_metadata(upload),
            )
            await self._store.put(new, heartbeat=lease.keep)
        except StoreRefusedError:
            if is_ours:  # the process that began a taken-over row may have stored its object
                with suppress(LedgerUnavailableError):
                    await self._ledger.abandon(upload.id)
            raise
        except StoreUnavailableError:
            if not await self._is_stored(upload):
                raise

    async def _is_stored(self, upload: Upload) -> bool:
        try:
            found = await self._store.head(upload.receipt.object_key)
        except (StoreUnavailableError, StoreRefusedError):
            return False
        expected = (upload.receipt.file_size_bytes, upload.receipt.file_hash)
        return found is not None and (found.size_bytes, found.sha256) == expected

    async def _complete(self, upload: Upload, traceparent: str | None) -> None:
        try:
            await self._ledger.complete(
                upload.id,
                announcement(upload, self._bucket, at=self._clock(), traceparent=traceparent),
                stored_at=self._clock(),
            )
        except UploadNotFoundError as error:
            # The lease expired and the janitor removed the row; the client has no receipt yet.
            raise LedgerUnavailableError from error


async def _validate_written(check: FileValidation, file: SpoolFile, validated_bytes: int) -> int:
    """Pass written bytes to the gate; returns how many bytes of the file it has now."""
    readable_bytes = file.readable_bytes
    if readable_bytes > validated_bytes:
        await check.feed_file(
            file.path, offset=validated_bytes, size_bytes=readable_bytes - validated_bytes
        )
    return max(readable_bytes, validated_bytes)


def describe(
    request: UploadRequest, received: Received, result: ValidationResult, *, at: datetime
) -> Upload:
    """Return the new upload in state `storing`; its object key never changes."""
    upload_id = new_upload_id(at)
    owner = request.principal.account_id
    receipt = Receipt(
        upload_id=upload_id,
        object_key=str(ObjectKey(result.record_type, owner, at, received.sha256)),
        correlation_id=request.correlation_id,
        record_type=result.record_type,
        record_count=result.record_count,
        file_size_bytes=received.size_bytes,
        file_hash=received.sha256,
    )
    return Upload(
        id=upload_id,
        owner=owner,
        state=UploadState.STORING,
        receipt=receipt,
        schema_name=result.schema_name,
        schema_fingerprint=result.schema_fingerprint,
        received_at=at,
    )
