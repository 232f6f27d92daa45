"""
Leadership of this process.

The process serves while it is the leader, steps down when it cannot renew the Lease, and is then a
candidate again. After a suspension it could write before it checks the Lease. Therefore every call
to an external system first compares the clock with the last renewal (`Term.check`).
"""

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, TypeVar, cast

from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.leader_election import Election, LeadershipLostError
from healthingest_operator.telemetry.metrics import LEADING, LOST, WAITING, Telemetry

Port = TypeVar("Port")
Fence = Callable[[], None]
"""Checks that this process is the leader; otherwise raises `TermOverError`."""

STEP_DOWN_SECONDS: Final = 60.0
"""Maximum time to stop serving after leadership was lost; then the process exits."""


class TermOverError(asyncio.CancelledError):
    """
    The term of leadership is over: the caller must not go on.

    It is a cancellation, so that no error handler treats it as a failure.
    """


class Term:
    """One term of leadership; *leads* returns whether the last renewal is still valid."""

    def __init__(self, leads: Callable[[], bool]) -> None:
        self._leads = leads
        self.lost = False
        self.over: Final = asyncio.Event()
        """Event that is set when leadership is lost or the process stops; serving must end then."""

    def check(self) -> None:
        """
        Check that the term is not over, before a call to an external system.

        Raises:
            TermOverError: leadership was lost; this term does not begin again.
        """
        if self.lost or not self._leads():
            self.lose()
            raise TermOverError

    def lose(self) -> None:
        """End this term, because another operator may lead."""
        self.lost = True
        self.over.set()


Serve = Callable[[Term], Awaitable[None]]
"""A coroutine function that serves until the term is over, or until the process is to end."""


async def lead(
    election: Election | None, telemetry: Telemetry, serve: Serve, stop: asyncio.Event
) -> None:
    """
    Serve in each term of leadership until *stop* is set; release the Lease at the end.

    No *election*: this is the only operator.

    Raises:
        Exception: any error of *serve*.
    """
    if election is None:
        telemetry.leadership(LEADING)
        await _serve_one(Term(lambda: True), telemetry, serve, stop)
        return
    try:
        while not stop.is_set():
            telemetry.leadership(WAITING)
            if not await _before(stop, election.acquire()):
                return
            telemetry.leadership(LEADING)
            term = Term(election.leads)
            async with _renewing(election, term):
                await _serve_one(term, telemetry, serve, stop)
            if not term.lost:
                return
    finally:
        with contextlib.suppress(ClusterError, TimeoutError):
            await election.release()


async def _serve_one(term: Term, telemetry: Telemetry, serve: Serve, stop: asyncio.Event) -> None:
    """Serve one term; return when all tasks that served have ended."""
    serving = asyncio.ensure_future(serve(term))
    stopping = asyncio.create_task(_pass_on(stop, term), name="stopping")
    over = asyncio.create_task(term.over.wait(), name="term")
    try:
        await asyncio.wait({serving, over}, return_when=asyncio.FIRST_COMPLETED)
        if term.lost:
            telemetry.leadership(LOST)
            await asyncio.wait({serving}, timeout=STEP_DOWN_SECONDS)
            if not serving.done():
                logging.shutdown()
                os._exit(1)
            if not serving.cancelled() and (error := serving.exception()):
                # An error after the loss of leadership does not concern the next term.
                telemetry.stepped_down(error)
            return
        await serving
    finally:
        for task in (serving, stopping, over):
            task.cancel()
        await asyncio.wait({serving, stopping, over})


async def _pass_on(stop: asyncio.Event, term: Term) -> None:
    await stop.wait()
    term.over.set()


@asynccontextmanager
async def _renewing(election: Election, term: Term) -> AsyncIterator[None]:
    """Renew the Lease within the context; if that fails, the term is over."""

    async def hold() -> None:
        try:
            await election.hold()
        except LeadershipLostError:
            term.lose()
        except Exception:
            # Without renewals the term is over at once, not only at the next write.
            term.lose()
            raise

    holding = asyncio.create_task(hold(), name="lease")
    try:
        yield
    finally:
        holding.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await holding


async def _before(stop: asyncio.Event, work: Awaitable[None]) -> bool:
    """Whether *work* completed before *stop* was set."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            working.result()
            return True
        return False
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.wait({working, stopping})


def fenced(port: Port, check: Fence) -> Port:
    """
    Return *port* with a call of *check* before each of its methods.

    Every method of *port* must be a coroutine function. The proxy forwards by name, so that it
    works for every port. Its static type is that of *port*.
    """
    return cast("Port", _Fenced(port, check))


class _Fenced:
    """Forwards each method call after *check*."""

    def __init__(self, port: object, check: Fence) -> None:
        self._port: Final = port
        self._check: Final = check

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._port, name)

        async def checked(*given: object, **named: object) -> object:
            self._check()
            return await method(*given, **named)

        return checked


class Signals:
    """
    Sets `stop` on SIGTERM and SIGINT.

    The first process of a container ignores signals that have no handler.
    """

    def __init__(self) -> None:
        self.stop: Final = asyncio.Event()

    def handle(self) -> None:
        """Install the handlers; again after a library has replaced them."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)


@contextmanager
def signals() -> Iterator[Signals]:
    """Handle the signals within the context."""
    found = Signals()
    found.handle()
    try:
        yield found
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().remove_signal_handler(number)
