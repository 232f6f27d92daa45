"""The process and the Lease: nothing is served before it leads, and it ends at once when it leads no more."""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

from healthingest_operator.handlers.outcomes import LEADING, LOST, WAITING, Telemetry
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.leadership import Election, LeadershipLostError


@asynccontextmanager
async def leading(election: Election | None, telemetry: Telemetry) -> AsyncIterator[None]:
    """Wait for leadership, keep it meanwhile, hand it over at the end; None: there is but one operator."""
    if election is None:
        telemetry.leadership(LEADING)
        yield
        return
    telemetry.leadership(WAITING)
    with _stopped_by_a_signal():
        await election.acquire()
    telemetry.leadership(LEADING)
    holding = asyncio.create_task(_hold(election, telemetry), name="lease")
    try:
        yield
    finally:
        holding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await holding
        with contextlib.suppress(ClusterError, TimeoutError):
            await election.release()


async def _hold(election: Election, telemetry: Telemetry) -> None:
    try:
        await election.hold()
    except LeadershipLostError:
        telemetry.leadership(LOST)
        logging.shutdown()
        # Whatever is under way must not write once more: another one may lead in three seconds.
        os._exit(1)


@contextmanager
def _stopped_by_a_signal() -> Iterator[None]:
    """The first process of a container ignores signals that nobody handles; later kopf handles them."""
    loop, waiting = asyncio.get_running_loop(), asyncio.current_task()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, waiting.cancel if waiting else lambda: None)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
