"""Expired rows are removed in batches."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.housekeeping import BATCH, forget_all, forget_expired
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, Clock


@dataclass
class Expired:
    """A port with so many expired rows; it counts its transactions."""

    left: int
    calls: int = 0
    is_down: bool = False
    stop: asyncio.Event | None = None

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """See `Expiring.forget_expired`."""
        await asyncio.sleep(0)
        assert before == NOON
        self.calls += 1
        if self.stop is not None:
            self.stop.set()
        if self.is_down:
            raise IdentityUnavailableError
        removed = min(limit, self.left)
        self.left -= removed
        return removed


async def test_all_go_batch_by_batch() -> None:
    """The last batch is not full, so that nothing is left."""
    for rows, calls in ((0, 1), (BATCH - 1, 1), (BATCH, 2), (3 * BATCH + 1, 4)):
        port = Expired(rows)
        assert await forget_all(port, before=NOON, stop=asyncio.Event()) == rows
        assert (port.left, port.calls) == (0, calls)


async def test_a_stop_ends_it_between_batches() -> None:
    """The next start continues."""
    stop = asyncio.Event()
    port = Expired(5 * BATCH, stop=stop)
    assert await forget_all(port, before=NOON, stop=stop) == BATCH
    assert port.left == 4 * BATCH


async def test_a_failure_of_one_port_does_not_stop_the_others() -> None:
    """The next round tries again."""
    stop = asyncio.Event()
    ports = (Expired(2 * BATCH, is_down=True), Expired(BATCH - 1, stop=stop))
    async with asyncio.timeout(HANG_SECONDS):
        await forget_expired(ports, clock=Clock(), interval_seconds=HANG_SECONDS, stop=stop)
    assert [(port.left, port.calls) for port in ports] == [(2 * BATCH, 1), (0, 1)]
