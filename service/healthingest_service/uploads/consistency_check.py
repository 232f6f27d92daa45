"""The consistency check: compares the object store with the database."""

import asyncio
import hashlib
import random
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic
from typing import Final
from zlib import crc32

from healthingest_contract.object_keys import AFTER_ALL_KEYS, before_hash, is_object_key
from healthingest_service.uploads.discrepancies import ConsistencyCounts, Discrepancies, Discrepancy
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.upkeep_ports import (
    KeptUpload,
    KeptUploads,
    ObjectPage,
    ScheduledJobs,
    StoreInventory,
)
from healthingest_service.uploads.waiting import wait_for_any

JOB: Final = "consistency"
_LEASE_SECONDS: Final = 3600.0
"""The lease is renewed with every page and between reads; no read may take longer."""
_NOTE_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 900.0
_POLL_SECONDS: Final = 60.0
_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsistencyRules:
    """
    Interval and read rate of the consistency check.

    Objects, rows and unfinished PUTs younger than `young_seconds` are ignored: their upload may
    still be in progress.
    """

    interval_seconds: float
    verify_shares: int
    """Number of intervals in which every stored object is read once."""
    verify_bytes_per_second: float
    young_seconds: float


class ConsistencyCheck:
    """
    Lists all objects once in every interval, compares them with the database, and reads a share.

    It reports discrepancies. It deletes an object only if its upload was erased: a PUT that hung
    has arrived late. It aborts unfinished multipart PUTs of ended processes. The two lists are not
    read at the same time, so each discrepancy is checked a second time before it is reported. An
    upload whose object is missing or has other bytes becomes `lost`; when the object is found
    again, the upload returns to its previous state.
    """

    def __init__(  # noqa: PLR0913 - the composition root names every part
        self,
        *,
        inventory: StoreInventory,
        store: ObjectStore,
        uploads: KeptUploads,
        jobs: ScheduledJobs,
        rules: ConsistencyRules,
        bucket: str,
        clock: Callable[[], datetime],
    ) -> None:
        self._inventory = inventory
        self._store = store
        self._uploads = uploads
        self._jobs = jobs
        self._rules = rules
        # An offset for each bucket, so that not all installations begin at midnight.
        self._phase = crc32(bucket.encode()) % rules.interval_seconds
        self._clock = clock
        self._noted_at = 0.0
        self._discrepancies = Discrepancies(clock)

    @property
    def counts(self) -> ConsistencyCounts:
        """The counts since the process started."""
        return self._discrepancies.counts

    @property
    def finished_at(self) -> datetime | None:
        """When a check last finished in any process; None if never, or not read yet."""
        return self._discrepancies.finished_at

    async def run(self, stop: asyncio.Event) -> None:
        """Poll about once a minute whether a check is due, and run it, until *stop* is set."""
        while not stop.is_set():
            # S311: spreads load
            await wait_for_any(stop, seconds=_POLL_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311
            try:
                await self.check_once(stop)
            except (LedgerUnavailableError, StoreUnavailableError, StoreRefusedError) as error:
                self._discrepancies.failed(error, what="consistency")
                await wait_for_any(stop, seconds=_RETRY_SECONDS)

    async def check_once(self, stop: asyncio.Event) -> bool:
        """
        Run the check if it is due and no other process runs it; returns whether it finished.

        When *stop* is set it ends early. The next call continues at the same position.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: the check ended early;
                the next call continues there.
        """
        slot = int((self._clock().timestamp() + self._phase) // self._rules.interval_seconds)
        self._discrepancies.finished_at = await self._jobs.finished_at(JOB)
        after = await self._jobs.take(JOB, slot, lease_seconds=_LEASE_SECONDS)
        if after is None:
            return False
        try:
            if not after:
                await self._abort_stale_puts()
            while not stop.is_set():
                page = await self._inventory.page(after=after, limit=_PAGE)
                until = AFTER_ALL_KEYS if page.is_last else page.objects[-1].key
                await self._compare(page, after, until, slot, stop)
                if page.is_last and not stop.is_set():
                    await self._jobs.finish(JOB, slot)
                    self._discrepancies.finished()
                    return True
                after = after if stop.is_set() else until
                await self._note(slot, after, lease_seconds=_LEASE_SECONDS)
        finally:
            await self._note(slot, after, lease_seconds=0)
        return False

    async def _note(self, slot: int, after: str, *, lease_seconds: float) -> None:
        """
        Note the position without the hash of a file, whose upload may be erased meanwhile.

        A check that continues there compares a few objects again.
        """
        await self._jobs.note(JOB, slot, before_hash(after), lease_seconds=lease_seconds)

    async def _abort_stale_puts(self) -> None:
        """Abort unfinished PUTs of ended processes; log it if the store cannot list them."""
        oldest_alive = self._clock() - timedelta(seconds=self._rules.young_seconds)
        try:
            async for put in self._inventory.unfinished():
                if put.begun_at < oldest_alive and not await self._uploads.being_stored({put.key}):
                    await self._inventory.abort(put)
                    self._discrepancies.aborted(put)
        except StoreRefusedError as error:
            self._discrepancies.failed(error, what="unfinished puts")

    async def _compare(
        self, page: ObjectPage, after: str, until: str, slot: int, stop: asyncio.Event
    ) -> None:
        listed = {one.key: one for one in page.objects}
        young = self._clock() - timedelta(seconds=self._rules.young_seconds)
        self._discrepancies.listed(len(listed))
        async for uploads in self._kept(after, until):
            for upload in uploads:
                if stop.is_set():
                    return
                found = listed.pop(upload.key, None)
                if found is None:
                    await self._look_for(upload, young)
                elif found.size_bytes != upload.size_bytes:
                    await self._lost(upload, Discrepancy.OTHER_BYTES)
                elif self._is_due(upload, slot):
                    await self._keep_lease(slot, after)
                    await self._verify(upload, stop)
        await self._report_unknown({key for key, one in listed.items() if one.modified_at < young})

    def _is_due(self, upload: KeptUpload, slot: int) -> bool:
        """Return whether to read the object now: its share is due, or the upload is `lost`."""
        shares = self._rules.verify_shares
        return upload.is_lost or int(upload.sha256[:8], 16) % shares == slot % shares

    async def _report_unknown(self, keys: set[str]) -> None:
        """Report those of *keys* that have no row in the database, and remove erased ones."""
        ours = {key for key in keys if is_object_key(key)}
        unknown = keys - await self._uploads.with_rows(ours)
        late = await self._uploads.erased_keys(unknown & ours)
        for key in sorted(late):
            await self._store.erase(key)
            self._discrepancies.erased()
        for key in sorted(unknown - late):
            self._discrepancies.found(Discrepancy.OBJECT_WITHOUT_ROW, key, None)

    async def _keep_lease(self, slot: int, position: str) -> None:
        """
        Renew the lease before a read, which may take long.

        At most once in `_NOTE_SECONDS`: small objects are read faster than that.
        """
        if monotonic() - self._noted_at > _NOTE_SECONDS:
            self._noted_at = monotonic()
            await self._note(slot, position, lease_seconds=_LEASE_SECONDS)

    async def _kept(self, after: str, until: str) -> AsyncIterator[Sequence[KeptUpload]]:
        while uploads := await self._uploads.between(after, until, limit=_PAGE):
            yield uploads
            after = uploads[-1].key

    async def _look_for(self, upload: KeptUpload, young: datetime) -> None:
        if (
            upload.stored_at < young
            and not upload.is_lost
            and await self._store.head(upload.key) is None
        ):
            await self._lost(upload, Discrepancy.ROW_WITHOUT_OBJECT)

    async def _lost(self, upload: KeptUpload, kind: Discrepancy) -> None:
        """Report the discrepancy once, and mark the upload as `lost`."""
        if not upload.is_lost:
            self._discrepancies.found(kind, upload.key, upload.upload_id)
            await self._uploads.mark_lost(upload.upload_id, at=self._clock())

    async def _verify(self, upload: KeptUpload, stop: asyncio.Event) -> None:
        """Read the object at the allowed rate, and compare its hash."""
        began = monotonic()
        read_bytes = 0
        digest = hashlib.sha256()
        try:
            async for chunk in self._store.read(upload.key):
                digest.update(chunk)
                read_bytes += len(chunk)
                due = began + read_bytes / self._rules.verify_bytes_per_second
                await wait_for_any(stop, seconds=due - monotonic())
                if stop.is_set():
                    return
        except StoreRefusedError:
            self._discrepancies.found(Discrepancy.UNREADABLE, upload.key, upload.upload_id)
            return
        self._discrepancies.verified(read_bytes)
        if digest.hexdigest() != upload.sha256:
            await self._lost(upload, Discrepancy.OTHER_BYTES)
        elif upload.is_lost:
            await self._uploads.mark_found(upload.upload_id)
            self._discrepancies.found_again(upload.key, upload.upload_id)
