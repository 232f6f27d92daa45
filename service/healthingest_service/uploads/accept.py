"""The use case that accepts an upload: from a request body to a receipt."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from healthingest_contract.object_keys import ObjectKey
from healthingest_service.audit.subjects import SubjectHashes
from healthingest_service.identity.model import Principal
from healthingest_service.studies.decisions import admit_record_type
from healthingest_service.studies.enrolment import Enrol, enrol_nobody
from healthingest_service.studies.errors import StudyError
from healthingest_service.studies.model import DEFAULT_STUDY, Intake, Subject
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.audit_events import subject_hash_of, uploaded
from healthingest_service.uploads.errors import (
    BodyIncompleteError,
    FileTooLargeError,
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadErasedError,
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
    SMALL_BODY_BYTES,
    Begun,
    FileValidation,
    Gate,
    Ledger,
    ObjectStore,
    Spool,
    SpoolFile,
)
from healthingest_service.uploads.removal import removal
from healthingest_service.uploads.spans import Spans, no_spans
from healthingest_service.uploads.upload_lease import UploadLease


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadRequest:
    """
    An upload to accept.

    `declared_size_bytes` is the file size, None if the client did not declare it. `min_size_bytes`
    is a lower bound of the file size, from the declared size of a form that contains the file.
    `traceparent` is the trace of the request (W3C Trace Context), which the message continues.
    `intake` is the admission into a study, None for the study `default`.
    """

    principal: Principal
    body: AsyncIterator[bytes]
    correlation_id: str
    idempotency_key: IdempotencyKey | None
    declared_size_bytes: int | None
    min_size_bytes: int = 0
    traceparent: str | None = None
    intake: Intake | None = None


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
        enrol: Enrol = enrol_nobody,
        subject_hashes: SubjectHashes | None = None,
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
        self._enrol = enrol
        self._subject_hashes = subject_hashes
        self._span = span

    async def __call__(self, request: UploadRequest) -> Accepted:
        """
        Receive, validate and store the file, and return its receipt.

        The upload has succeeded when the second transaction (`Ledger.complete`) is committed.

        Raises:
            UploadError: the upload was not accepted; after an `UnavailableError` repeating is safe.
            StudyError: the study does not accept it.
            AuditUnavailableError: the upload cannot be recorded; repeating is safe.
        """
        max_bytes = self._max_bytes(request.intake)
        _check_size(max(request.declared_size_bytes or 0, request.min_size_bytes), max_bytes)
        async with self._spool.open() as file:
            received, result = await self._validated(request, file)
            subject = await self._subject(request.intake, result)
            upload = describe(request, received, result, subject, at=self._clock())
            begins_at = self._clock()
            begun = await self._begin(upload, request.idempotency_key)
            if begun.replayed:
                return Accepted(begun.upload.receipt, replayed=True)
            renew = partial(self._ledger.renew, begun.upload.id, lease_seconds=self._lease_seconds)
            lease = UploadLease(
                renew, seconds=self._lease_seconds, begun_at=begins_at, clock=self._clock
            )
            subject_hash = await subject_hash_of(begun.upload, self._subject_hashes)
            with self._span("store the object"):
                is_ours = begun.upload.id == upload.id
                await self._put(begun.upload, file.content, lease, is_ours=is_ours)
            with self._span("commit upload and message"):
                await self._complete(begun.upload, request, subject_hash)
            return Accepted(begun.upload.receipt, replayed=False)

    def _max_bytes(self, intake: Intake | None) -> int:
        installation = self._max_file_bytes
        return installation if intake is None else intake.policy.largest_file_bytes(installation)

    async def _subject(self, intake: Intake | None, result: ValidationResult) -> Subject | None:
        """Return the subject, which the first valid upload enrols; None in the default study."""
        if intake is None:
            return None
        admit_record_type(intake.policy, result.record_type)
        with self._span("find the subject"):
            return await self._enrol(intake)

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
        max_bytes = self._max_bytes(request.intake)
        size_bytes = validated_bytes = 0
        async for chunk in request.body:
            size_bytes += len(chunk)
            _check_size(size_bytes, max_bytes)
            await file.write(chunk)
            if size_bytes <= SMALL_BODY_BYTES:
                await check.feed(chunk)
                validated_bytes = size_bytes
            else:
                validated_bytes = await _validate_written(check, file, validated_bytes)
        if request.declared_size_bytes not in {None, size_bytes}:
            raise BodyIncompleteError
        sha256 = await file.finish()
        await _validate_written(check, file, validated_bytes)
        return Received(size_bytes, sha256)

    async def _put(
        self, upload: Upload, content: bytes | Path, lease: UploadLease, *, is_ours: bool
    ) -> None:
        receipt = upload.receipt
        try:
            new = NewObject(
                receipt.object_key,
                content,
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

    async def _complete(
        self, upload: Upload, request: UploadRequest, subject_hash: str | None
    ) -> None:
        at = self._clock()
        try:
            await self._ledger.complete(
                upload.id,
                announcement(upload, self._bucket, at=at, traceparent=request.traceparent),
                stored_at=at,
                event=uploaded(
                    upload, token_id=request.principal.token_id, subject_hash=subject_hash, at=at
                ),
            )
        except UploadNotFoundError as error:
            # The lease expired and the janitor removed the row; the client has no receipt yet.
            raise LedgerUnavailableError from error
        except (StudyError, UploadErasedError) as error:
            # After a failure here the janitor removes object and row.
            with suppress(StoreUnavailableError, StoreRefusedError, LedgerUnavailableError):
                await self._ledger.abandon(upload.id, remove=removal(self._store, upload, error))
            raise


def _check_size(size_bytes: int, max_bytes: int) -> None:
    if size_bytes > max_bytes:
        raise FileTooLargeError(max_bytes)


async def _validate_written(check: FileValidation, file: SpoolFile, validated_bytes: int) -> int:
    """Pass written bytes to the gate; returns how many bytes of the file it has now."""
    readable_bytes = file.readable_bytes
    if readable_bytes > validated_bytes:
        await check.feed_file(
            file.on_disk(), offset=validated_bytes, size_bytes=readable_bytes - validated_bytes
        )
    return max(readable_bytes, validated_bytes)


def describe(
    request: UploadRequest,
    received: Received,
    result: ValidationResult,
    subject: Subject | None = None,
    *,
    at: datetime,
) -> Upload:
    """
    Return the new upload in state `storing`; its object key never changes.

    The key has the random id of the subject, in the default study that of the account.
    """
    upload_id = new_upload_id(at)
    owner = request.principal.account_id
    key_id = owner if subject is None else subject.id
    receipt = Receipt(
        upload_id=upload_id,
        object_key=str(ObjectKey(result.record_type, key_id, at, received.sha256)),
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
        study=DEFAULT_STUDY if subject is None else subject.study,
        subject=None if subject is None else subject.pseudonym,
    )
