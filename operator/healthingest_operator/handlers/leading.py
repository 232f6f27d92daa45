"""
The process and the Lease: nothing is served before it leads, and it ends at once when it leads no more.

A process that was frozen and thaws would write what it was about to write, before its next look at the Lease. So every
call to the outside first asks the clock whether the last renewal still counts.
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, cast

from healthingest_operator.handlers.outcomes import LEADING, LOST, WAITING, Telemetry
from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.leadership import Election, LeadershipLostError

Port = TypeVar("Port")
Fence = Callable[[], None]
"""Passed by the leader alone: for everybody else it ends the process."""


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
        _end(telemetry)


def _end(telemetry: Telemetry) -> None:
    telemetry.leadership(LOST)
    logging.shutdown()
    # Whatever is under way must not write once more: another one leads in two seconds, or does already.
    os._exit(1)


def fence(election: Election | None, telemetry: Telemetry) -> Fence:
    """The fence of this process; without an election everybody passes."""

    def check() -> None:
        if election is not None and not election.leads():
            _end(telemetry)

    return check


def fenced(port: Port, check: Fence) -> Port:
    """*port*, whose methods are all coroutines, with *check* before each call."""
    return cast("Port", _Fenced(port, check))


class _Fenced:
    def __init__(self, port: object, check: Fence) -> None:
        self._port: Final = port
        self._check: Final = check

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        async def checked(*given: object, **named: object) -> object:
            self._check()
            return await method(*given, **named)

        return checked


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
