"""The use case: announce uploads again, for consumers that lost their messages or need old ones."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.ports import ObjectStore
from healthingest_service.uploads.relay_ports import Replays, ReplaySelection

_BATCH: Final = 200
_STORE_REQUESTS: Final = 16
"""Questions to the object store at one time."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """
    Counts of uploads selected, of messages put into the outbox, and of objects missing.

    An upload without an object is not announced. For each other upload that got no message, one
    was waiting already.
    """

    selected: int = 0
    put: int = 0
    missing: int = 0

    @property
    def waiting_already(self) -> int:
        """Uploads whose message was in the outbox before."""
        return self.selected - self.put - self.missing


class Replay:
    """
    Puts messages about earlier uploads into the outbox, from where the relay announces them.

    A message has the content and the `idempotency_key` of the first one, so consumers recognise a
    repetition. Its message id is new.
    """

    def __init__(
        self,
        replays: Replays,
        store: ObjectStore,
        *,
        bucket: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._replays = replays
        self._store = store
        self._bucket = bucket
        self._clock = clock
        self._sleep = sleep

    async def __call__(
        self,
        selection: ReplaySelection,
        *,
        per_second: float,
        dry: bool,
        progress: Callable[[Replayed], None] = lambda _: None,
    ) -> Replayed:
        """
        Put a message about each upload of *selection* whose object the store has, in batches.

        *per_second* bounds the messages put. *dry*: only count. *progress* is called after each
        batch with the counts so far, so that after an error the caller knows how far it came.

        Raises:
            LedgerUnavailableError, StoreUnavailableError, StoreRefusedError: it ended early; what
                was put stays.
        """
        done = Replayed()
        after = None
        while uploads := await self._replays.page(selection, after=after, limit=_BATCH):
            stored = await self._stored(uploads)
            put = 0 if dry else await self._put(stored)
            done = Replayed(
                done.selected + len(uploads),
                done.put + put,
                done.missing + len(uploads) - len(stored),
            )
            after = uploads[-1].id
            progress(done)
            await self._sleep(put / per_second)
        return done

    async def _stored(self, uploads: Sequence[Upload]) -> Sequence[Upload]:
        """Return the uploads whose object the store has, in full size."""
        slots = asyncio.Semaphore(_STORE_REQUESTS)

        async def is_stored(upload: Upload) -> bool:
            async with slots:
                found = await self._store.head(upload.receipt.object_key)
            return found is not None and found.size_bytes == upload.receipt.file_size_bytes

        answers = await asyncio.gather(*(is_stored(upload) for upload in uploads))
        return [upload for upload, stored in zip(uploads, answers, strict=True) if stored]

    async def _put(self, uploads: Sequence[Upload]) -> int:
        return await self._replays.put(
            [announcement(one, self._bucket, at=self._clock()) for one in uploads]
        )
