"""The use case that receives a file in several requests, each of which may be cut."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from uuid import uuid4

from healthingest_service.identity.model import AccountId, Principal
from healthingest_service.studies.errors import StudyError
from healthingest_service.studies.model import DEFAULT_STUDY, Intake, Pseudonym, StudySlug
from healthingest_service.uploads.accept import UploadRequest
from healthingest_service.uploads.errors import (
    BodyIncompleteError,
    BodyTooSlowError,
    FileRefusedError,
    FileTooLargeError,
    LedgerUnavailableError,
    NotAvroError,
    ObjectLostError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadErasedError,
)
from healthingest_service.uploads.model import Accepted
from healthingest_service.uploads.part_writer import PartWriter
from healthingest_service.uploads.ports import ObjectStore, Spool
from healthingest_service.uploads.remove_parts import RemoveParts
from healthingest_service.uploads.resumable import (
    InconsistentLengthError,
    OffsetMismatchError,
    Resumable,
    ResumableBusyError,
    ResumableEndedError,
    ResumableId,
    ResumableState,
)
from healthingest_service.uploads.resumable_ports import ResumableUploads
from healthingest_service.uploads.whole_file import whole_file

_POLL_SECONDS: Final = 0.1
_RETRY_AFTER_SECONDS: Final = 2
_REFUSALS: Final = (
    FileRefusedError,
    NotAvroError,
    FileTooLargeError,
    StudyError,
    UploadErasedError,
)
"""Errors after which no request can complete the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartRules:
    """
    Sizes and times of resumable uploads.

    `lease_seconds` must exceed the deadline of storing one part. A request whose client may have
    vanished keeps another one waiting for `patience_seconds`, one that stores a part for
    `longest_wait_seconds`.
    """

    max_file_bytes: int
    part_bytes: int
    max_open: int
    lifetime_seconds: float
    lease_seconds: float
    patience_seconds: float = 5.0
    longest_wait_seconds: float = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NextBytes:
    """
    A request with the bytes of a file from `first_byte` on.

    `completes` is whether they are the last; None: they are if the file has no more bytes.
    `size_bytes` is the size of the file if the request says it. With `all_or_none` the bytes count
    only if the whole request came: it has a checksum.
    """

    principal: Principal
    first_byte: int
    body: AsyncIterator[bytes]
    correlation_id: str
    completes: bool | None = None
    size_bytes: int | None = None
    all_or_none: bool = False
    traceparent: str | None = None
    intake: Intake | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """A resumable upload after a request; `accepted` is set when the file was accepted now."""

    resumable: Resumable
    accepted: Accepted | None = None


class ReceiveInParts:
    """
    Receives files in parts, and accepts each when its last byte has come.

    Any process can receive the next bytes. The last ones count as received only when the file is
    accepted, so a client that has sent all bytes knows that its file is stored, or why not.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        uploads: ResumableUploads,
        store: ObjectStore,
        spool: Spool,
        accept: Callable[[UploadRequest], Awaitable[Accepted]],
        rules: PartRules,
        clock: Callable[[], datetime],
    ) -> None:
        self._uploads = uploads
        self._store = store
        self._spool = spool
        self._accept = accept
        self._rules = rules
        self._clock = clock
        self._remove_parts = RemoveParts(uploads, store, lease_seconds=rules.lease_seconds)

    @property
    def rules(self) -> PartRules:
        """The sizes and times, which clients may know."""
        return self._rules

    async def create(
        self, principal: Principal, size_bytes: int | None, *, intake: Intake | None, metadata: str
    ) -> Resumable:
        """
        Begin a resumable upload of a file with *size_bytes*, None if that is not known yet.

        Raises:
            FileTooLargeError: the file is larger than allowed.
            TooManyResumableError: the account has too many of them.
            StudyError: the subject has left meanwhile.
        """
        limit_bytes = self._rules.max_file_bytes
        if intake is not None:
            limit_bytes = intake.policy.largest_file_bytes(limit_bytes)
        if (size_bytes or 0) > limit_bytes:
            raise FileTooLargeError(limit_bytes)
        study, subject = _about(intake)
        new = Resumable(
            id=ResumableId(uuid4()),
            owner=principal.account_id,
            study=study,
            subject=subject,
            size_bytes=size_bytes,
            metadata=metadata,
            expires_at=self._clock() + timedelta(seconds=self._rules.lifetime_seconds),
        )
        await self._uploads.create(new, limit=self._rules.max_open)
        return new

    async def find(self, resumable_id: ResumableId, owner: AccountId) -> Resumable:
        """
        Return a resumable upload, also while a request sends bytes.

        Raises:
            ResumableNotFoundError: *owner* has none.
        """
        return await self._uploads.find(resumable_id, owner)

    async def settled(self, resumable_id: ResumableId, owner: AccountId) -> Resumable:
        """
        Return a resumable upload whose received bytes do not change before the next request.

        Bytes of an earlier request are stored first; if its client has vanished, it loses them.

        Raises:
            ResumableNotFoundError: *owner* has none.
            ResumableBusyError: an earlier request is still storing bytes.
        """
        found = await self._uploads.find(resumable_id, owner)
        if not found.is_busy or found.state is not ResumableState.RECEIVING:
            return found
        with suppress(ResumableEndedError):
            taken = await self._taken(resumable_id)
            await self._uploads.release(resumable_id, taken.writer)
        return await self._uploads.find(resumable_id, owner)

    async def append(self, resumable_id: ResumableId, following: NextBytes) -> Progress:
        """
        Receive the next bytes; accept the file if they are the last.

        A request that is cut keeps the bytes that have come, and raises.

        Raises:
            ResumableNotFoundError, ResumableEndedError, ReplacedError: it cannot go on.
            ResumableBusyError: an earlier request is still storing bytes.
            OffsetMismatchError: the bytes do not continue those that are stored.
            LengthExceededError, TooManyPartsError: too many bytes, or too many requests.
            UploadError, StudyError: as `AcceptUpload`; after a refusal nothing is left.
        """
        found = await self._uploads.find(resumable_id, following.principal.account_id)
        if found.state is not ResumableState.RECEIVING:
            return Progress(_closed(found, following.first_byte))
        taken = await self._taken(resumable_id)
        try:
            if taken.received_bytes != following.first_byte:
                raise OffsetMismatchError(taken.received_bytes)
            taken = await self._with_size(taken, following.size_bytes)
            return await self._received(taken, following)
        except _REFUSALS as error:
            await self._refuse(taken, error)
            raise
        finally:
            with suppress(LedgerUnavailableError):  # the lease ends by itself
                await self._uploads.release(resumable_id, taken.writer)

    async def terminate(self, resumable_id: ResumableId, owner: AccountId) -> None:
        """
        End a resumable upload, and remove its parts.

        Raises:
            ResumableNotFoundError: *owner* has none.
        """
        await self._uploads.find(resumable_id, owner)
        await self._uploads.end(resumable_id)
        await self._remove(resumable_id)

    async def _taken(self, resumable_id: ResumableId) -> Resumable:
        """
        Take the upload, after the request that has it, or instead of it.

        Raises:
            ResumableBusyError: that request stores a part, and does not come to an end.
        """
        began = monotonic()
        waited = 0.0
        while waited < self._rules.longest_wait_seconds:
            taken = await self._uploads.take(
                resumable_id,
                lease_seconds=self._rules.lease_seconds,
                force=waited >= self._rules.patience_seconds,
            )
            if taken is not None:
                return taken
            await asyncio.sleep(_POLL_SECONDS)
            waited = monotonic() - began
        raise ResumableBusyError(_RETRY_AFTER_SECONDS)

    async def _with_size(self, taken: Resumable, size_bytes: int | None) -> Resumable:
        """
        Record the size of the file if it is new.

        Raises:
            InconsistentLengthError: another size is known.
            FileTooLargeError: the file is larger than allowed.
        """
        if size_bytes is None or size_bytes == taken.size_bytes:
            return taken
        if taken.size_bytes is not None or size_bytes < taken.received_bytes:
            raise InconsistentLengthError
        if size_bytes > self._rules.max_file_bytes:
            raise FileTooLargeError(self._rules.max_file_bytes)
        await self._uploads.set_size(taken.id, taken.writer, size_bytes)
        return replace(taken, size_bytes=size_bytes)

    async def _received(self, taken: Resumable, following: NextBytes) -> Progress:
        max_bytes = self._rules.max_file_bytes if taken.size_bytes is None else taken.size_bytes
        writer = PartWriter(
            taken,
            uploads=self._uploads,
            store=self._store,
            spool=self._spool,
            max_bytes=max_bytes,
            part_bytes=max_bytes if following.all_or_none else self._rules.part_bytes,
            lease_seconds=self._rules.lease_seconds,
            clock=self._clock,
        )
        async with writer:
            try:
                accepted = await self._accepted(taken, following, writer)
            except (BodyIncompleteError, BodyTooSlowError):
                if writer.has_ended:  # a request with some of the bytes, as it was meant
                    await writer.store()
                    return Progress(replace(taken, received_bytes=writer.received_bytes))
                if not following.all_or_none:
                    await writer.store()
                raise
        await self._uploads.finish(taken.id, accepted.receipt)
        await self._remove(taken.id)
        done = replace(
            taken,
            state=ResumableState.FINISHED,
            size_bytes=accepted.receipt.file_size_bytes,
            received_bytes=accepted.receipt.file_size_bytes,
            upload_id=accepted.receipt.upload_id,
        )
        return Progress(done, accepted)

    async def _accepted(
        self, taken: Resumable, following: NextBytes, writer: PartWriter
    ) -> Accepted:
        """
        Accept the file, whose last bytes come now.

        A file that comes in one request is validated while it comes. Otherwise the parts are read
        again when the last byte is there: to read them at each request would take too long.

        Raises:
            BodyIncompleteError: these were not the last bytes.
        """
        body = writer.copied(following.body)
        if taken.received_bytes or following.completes is False:
            async for _ in body:
                pass
            if not (writer.is_complete if following.completes is None else following.completes):
                raise BodyIncompleteError
            body = whole_file(
                self._uploads,
                self._store,
                taken.id,
                stored_bytes=writer.stored_bytes,
                tail=await writer.gathered(),
            )
        request = UploadRequest(
            principal=following.principal,
            body=body,
            correlation_id=following.correlation_id,
            idempotency_key=None,
            declared_size_bytes=taken.size_bytes,
            traceparent=following.traceparent,
            intake=following.intake,
        )
        try:
            async with aclosing(body):
                return await self._accept(request)
        except ObjectLostError as error:
            await self._uploads.end(taken.id)
            raise ResumableEndedError from error

    async def _refuse(self, taken: Resumable, error: Exception) -> None:
        """Leave nothing of the file; the janitor does what fails here."""
        with suppress(LedgerUnavailableError):
            if isinstance(error, FileRefusedError | NotAvroError):
                await self._uploads.refuse(taken.id, error.findings)
            else:
                await self._uploads.end(taken.id)
                await self._uploads.release(taken.id, taken.writer)
            await self._remove(taken.id)

    async def _remove(self, resumable_id: ResumableId) -> None:
        with suppress(LedgerUnavailableError, StoreUnavailableError, StoreRefusedError):
            await self._remove_parts(resumable_id)


def _about(intake: Intake | None) -> tuple[StudySlug, Pseudonym | None]:
    return (DEFAULT_STUDY, None) if intake is None else (intake.study, intake.pseudonym)


def _closed(found: Resumable, first_byte: int) -> Resumable:
    """
    Return *found*, which is finished, to a client that has not got the answer.

    Raises:
        FileRefusedError: the file was refused.
        OffsetMismatchError: the client sends bytes that the service has.
        ResumableEndedError: it was terminated, has expired, or was erased.
    """
    found.refuse_if_over()
    if first_byte != found.size_bytes:
        raise OffsetMismatchError(found.received_bytes)
    return found
