"""
The use case that restores erasures: it applies what the bucket knows and the database does not.

A database that was restored from a backup has rows that were erased since.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import structlog

from healthingest_contract.object_keys import ERASURES_PREFIX
from healthingest_service.erasure import documents
from healthingest_service.erasure.documents import InvalidDocumentError
from healthingest_service.erasure.keys import ErasureKeys
from healthingest_service.erasure.ports import ErasureLog, ErasureRestore
from healthingest_service.uploads.errors import (
    LedgerUnavailableError,
    StoreRefusedError,
    StoreUnavailableError,
)
from healthingest_service.uploads.waiting import wait_for_any

ERASURE_RESTORED: Final = "erasure_restored"
ERASURE_OBJECT_INVALID: Final = "erasure_object_invalid"
_PAGE: Final = 1000


class RestoreErasures:
    """Applies erasures of the bucket that the database does not know, or knows in part."""

    def __init__(self, restore: ErasureRestore, log: ErasureLog, keys: ErasureKeys) -> None:
        self._restore = restore
        self._log = log
        self._keys = keys
        self._logger = structlog.get_logger("healthingest.erasure")

    async def __call__(self) -> int:
        """
        Apply all objects that the database does not know, and return their number.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: it ended early;
                repeating is safe.
        """
        applied = 0
        after = ERASURES_PREFIX
        while names := await self._log.names(after=after, limit=_PAGE):
            unknown = await self._restore.unknown(names)
            for name in sorted(unknown):
                applied += await self._apply(name)
            after = names[-1]
        return applied

    async def _apply(self, name: str) -> bool:
        try:
            found = documents.from_bytes(await self._log.read(name), self._keys)
        except InvalidDocumentError:
            self._logger.warning(ERASURE_OBJECT_INVALID)  # the name may be anybody's text
            return False
        await self._restore.apply(name, found)
        self._logger.warning(ERASURE_RESTORED, erasure_id=str(found.erasure.id))
        return True


async def repeat(
    work: Callable[[], Awaitable[object]], stop: asyncio.Event, *, seconds: float
) -> None:
    """Do *work* at once and then in each interval until *stop* is set; failures are retried."""
    while not stop.is_set():
        with suppress(LedgerUnavailableError, StoreUnavailableError, StoreRefusedError):
            await work()
        await wait_for_any(stop, seconds=seconds)
