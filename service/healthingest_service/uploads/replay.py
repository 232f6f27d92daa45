"""
The use case.

Announce uploads once more, for those who have lost their messages or need old ones.
"""

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
    How many uploads were chosen, and how many messages were put.

    Of the others one was waiting already.
    """

    selected: int = 0
    put: int = 0


class Replay:
    """
    Puts messages into the outbox, from where the relay announces them.

    A message says what the first one said, with the same `idempotency_key`: a consumer that has
    seen it drops it. Its own id is new: it is another message.
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
        Put a message about each upload of *selection*, in batches, not faster than *per_second*.

        *dry*: only count.

        *progress* is called after each batch with all that was done: on an error it tells how far
        it came.

        Raises:
            LedgerUnavailableError: it ended early; what was put stays.
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
