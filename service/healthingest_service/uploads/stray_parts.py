"""Removes parts that no resumable upload knows: a PUT that hung has arrived late."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from healthingest_contract.object_keys import PARTS_PREFIX
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.resumable import ResumableId, resumable_of
from healthingest_service.uploads.resumable_ports import ResumableUploads
from healthingest_service.uploads.upkeep_ports import ListedObject, StoreInventory
from healthingest_service.uploads.waiting import wait_for_any

_PAGE: Final = 1000
_INTERVAL_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveStrayParts:
    """
    Lists all parts, and removes those whose resumable upload does not exist.

    Objects younger than `young_seconds` are left: their upload may be newer than our answer.
    """

    inventory: StoreInventory
    uploads: ResumableUploads
    store: ObjectStore
    young_seconds: float
    clock: Callable[[], datetime]

    async def run(self, stop: asyncio.Event) -> None:
        """Sweep once an hour until *stop* is set."""
        while not stop.is_set():
            with suppress(LedgerUnavailableError, StoreUnavailableError, StoreRefusedError):
                await self.sweep_once()
            await wait_for_any(stop, seconds=_INTERVAL_SECONDS)

    async def sweep_once(self) -> int:
        """
        Remove all stray parts; returns their number.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: the sweep ended early;
                repeating is safe.
        """
        removed = 0
        after = ""
        while True:
            page = await self.inventory.page(after=after, limit=_PAGE, prefix=PARTS_PREFIX)
            for key in await self._strays(page.objects):
                await self.store.erase(key)
                removed += 1
            if page.is_last:
                return removed
            after = page.objects[-1].key

    async def _strays(self, found: Sequence[ListedObject]) -> list[str]:
        young = self.clock() - timedelta(seconds=self.young_seconds)
        old = {one.key: resumable_of(one.key) for one in found if one.modified_at < young}
        ids = list({one for one in old.values() if one is not None})
        there: frozenset[ResumableId] = await self.uploads.existing(ids) if ids else frozenset()
        return [key for key, of in old.items() if of is not None and of not in there]
