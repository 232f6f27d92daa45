"""The use case that announces uploads again, for consumers that need old messages."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from healthingest_service.uploads.announcement import announcement
from healthingest_service.uploads.model import Upload
from healthingest_service.uploads.relay_ports import Replays, ReplaySelection

_BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Replayed:
    """
    The number of selected uploads, and of messages put into the outbox.

    For the difference, a message was in the outbox already.
    """

    selected: int = 0
    put: int = 0


class Replay:
    """
    Puts messages about earlier uploads into the outbox, from where the relay announces them.

    A message has the content and the `idempotency_key` of the first one, so consumers recognise a
    repetition. Its message id is new.
    """

    def __init__(
        self,
        replays: Replays,
        *,
        bucket: str,
        clock: Callable[[], datetime],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._replays = replays
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
        Put a message about each upload of *selection*, in batches, at most *per_second*.

        If *dry* is true, uploads are only counted. *progress* gets the total counts after each
        batch, so that they are known after an error.

        Raises:
            LedgerUnavailableError: the replay ended early; messages put before stay.
        """
        done = Replayed()
        after = None
        while uploads := await self._replays.page(selection, after=after, limit=_BATCH):
            put = 0 if dry else await self._put(uploads)
            done = Replayed(done.selected + len(uploads), done.put + put)
            after = uploads[-1].id
            progress(done)
            await self._sleep(put / per_second)
        return done

    async def _put(self, uploads: Sequence[Upload]) -> int:
        return await self._replays.put(
            [announcement(one, self._bucket, at=self._clock()) for one in uploads]
        )
