"""Removes the parts of resumable uploads that are over."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    ObjectLockedError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.resumable import ResumableId
from healthingest_service.uploads.resumable_ports import ResumableUploads
from healthingest_service.uploads.waiting import wait_for_any

_UPLOADS_A_SWEEP: Final = 1000


@dataclass(frozen=True, slots=True)
class RemoveParts:
    """
    Removes the objects of parts, all versions of them, and then their rows.

    *lease_seconds* must exceed the time in which the parts of one upload are removed.
    """

    uploads: ResumableUploads
    store: ObjectStore
    lease_seconds: float
    interval_seconds: float = 10.0

    async def __call__(self, only: ResumableId | None = None) -> bool:
        """
        Remove the parts of one resumable upload that is over; returns False if there is none.

        Raises:
            ObjectLockedError: parts of *only* are locked; others wait for the end of their lock.
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: some parts may be
                left; the upload is due again after the lease.
        """
        ended = await self.uploads.take_ended(lease_seconds=self.lease_seconds, only=only)
        if ended is None:
            return False
        try:
            for key in ended.keys:
                await self.store.erase(key)
        except ObjectLockedError as error:
            await self.uploads.postpone(ended.id, until=error.until)
            if only is not None:
                raise
        else:
            await self.uploads.forget(ended)
        return True

    async def run(self, stop: asyncio.Event) -> None:
        """Remove in every interval what is over, until *stop* is set."""
        while not stop.is_set():
            with suppress(LedgerUnavailableError, StoreUnavailableError, StoreRefusedError):
                await self.sweep_once()
            await wait_for_any(stop, seconds=self.interval_seconds)

    async def sweep_once(self) -> int:
        """
        Remove the parts of up to 1000 resumable uploads; returns their number.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: the sweep ended early;
                repeating is safe.
        """
        for count in range(_UPLOADS_A_SWEEP):
            if not await self():
                return count
        return _UPLOADS_A_SWEEP
