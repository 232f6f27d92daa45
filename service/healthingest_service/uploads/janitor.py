"""The janitor: settles uploads whose process ended between the two transactions."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Final

import structlog

from healthingest_service.audit.errors import AuditUnavailableError
from healthingest_service.audit.subjects import SubjectHashes
from healthingest_service.studies.errors import StudyError
from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.audit_events import subject_hash_of, uploaded
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadErasedError,
    UploadNotFoundError,
)
from healthingest_service.uploads.model import StoredObject, Upload
from healthingest_service.uploads.ports import Ledger, ObjectStore
from healthingest_service.uploads.removal import removal
from healthingest_service.uploads.waiting import wait_for_any

UPLOAD_SETTLED: Final = "upload_settled"
SWEPT: Final = "swept"
_ROWS_A_SWEEP: Final = 1000


@dataclass(frozen=True, slots=True)
class Swept:
    """
    Counts of settled rows, by outcome.

    `mismatched`: the object has other bytes. `unclear`: object store or database gave no clear
    answer, so the row was left as it is.
    """

    finished: int = 0
    abandoned: int = 0
    mismatched: int = 0
    unclear: int = 0

    def plus(self, other: "Swept") -> "Swept":
        """Return the sum of both."""
        return Swept(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


class Janitor:
    """
    Completes or removes unfinished uploads of ended processes.

    It deletes an object only if its upload cannot succeed, because its subject has left.

    A row whose object is stored with the right bytes becomes `stored` and is announced. A row
    without an object is removed with its idempotency key. The janitor holds a lease on the row
    meanwhile: *lease_seconds* must exceed the sum of the deadlines of object store and database.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        ledger: Ledger,
        store: ObjectStore,
        clock: Callable[[], datetime],
        bucket: str,
        interval_seconds: float,
        lease_seconds: float,
        subject_hashes: SubjectHashes | None = None,
    ) -> None:
        self._ledger = ledger
        self._subject_hashes = subject_hashes
        self._store = store
        self._clock = clock
        self._bucket = bucket
        self._interval_seconds = interval_seconds
        self._lease_seconds = lease_seconds
        self._counts = Swept()
        self._swept_at: datetime | None = None
        self._log = structlog.get_logger("healthingest.janitor")

    @property
    def counts(self) -> Swept:
        """The counts since the process started."""
        return self._counts

    @property
    def swept_at(self) -> datetime | None:
        """When the last sweep ended; None before the first."""
        return self._swept_at

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep in every interval until *stop* is set; a sweep in progress ends first."""
        while not stop.is_set():
            with suppress(LedgerUnavailableError):  # the next sweep retries
                await self.sweep_once()
            await wait_for_any(stop, seconds=self._interval_seconds)

    async def sweep_once(self) -> Swept:
        """
        Settle up to 1000 rows with an expired lease, and return the counts.

        Rows are claimed one by one, so that each lease begins when the work on its row begins.

        Raises:
            LedgerUnavailableError: the sweep ended early; repeating is safe.
        """
        swept = Swept()
        for _ in range(_ROWS_A_SWEEP):
            taken = await self._ledger.expired(limit=1, lease_seconds=self._lease_seconds)
            if not taken:
                break
            settled = await self._settle(taken[0])
            swept = swept.plus(settled)
            self._counts = self._counts.plus(settled)
            (outcome,) = (name for name, count in asdict(settled).items() if count)
            self._log.info(UPLOAD_SETTLED, upload_id=str(taken[0].id), outcome=outcome)
        self._swept_at = self._clock()
        if swept != Swept():
            self._log.info(SWEPT, **asdict(swept))
        return swept

    async def _settle(self, upload: Upload) -> Swept:
        try:
            found = await self._store.head(upload.receipt.object_key)
            if found is None:
                await self._ledger.abandon(upload.id)
                return Swept(abandoned=1)
            if not await self._has_the_bytes(upload, found):
                return Swept(mismatched=1)
            subject_hash = await subject_hash_of(upload, self._subject_hashes)
            at = self._clock()
            await self._ledger.complete(
                upload.id,
                announcement(upload, self._bucket, at=at),
                stored_at=at,
                event=uploaded(upload, token_id=None, subject_hash=subject_hash, at=at),
            )
        except (StudyError, UploadErasedError) as error:
            return await self._remove(upload, error)
        except (
            AuditUnavailableError,
            StoreUnavailableError,
            StoreRefusedError,
            UploadNotFoundError,
        ):
            return Swept(unclear=1)
        return Swept(finished=1)

    async def _remove(self, upload: Upload, reason: Exception) -> Swept:
        """Remove object and row of an upload whose subject has left meanwhile."""
        try:
            await self._ledger.abandon(upload.id, remove=removal(self._store, upload, reason))
        except (StoreUnavailableError, StoreRefusedError):
            return Swept(unclear=1)
        return Swept(abandoned=1)

    async def _has_the_bytes(self, upload: Upload, found: StoredObject) -> bool:
        if found.size_bytes != upload.receipt.file_size_bytes:
            return False
        if found.sha256 is not None:
            return found.sha256 == upload.receipt.file_hash
        digest = hashlib.sha256()
        async for chunk in self._store.read(upload.receipt.object_key):
            digest.update(chunk)
        return digest.hexdigest() == upload.receipt.file_hash
