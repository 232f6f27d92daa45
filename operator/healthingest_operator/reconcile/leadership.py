"""
Which of several operators works: the one that holds the Lease.

The rules are those of client-go's leader election, which every operator of the field follows: a candidate takes over
only what it has itself seen unchanged for a whole term, so that clocks need not agree; the leader gives up well before
that, when it could not renew.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from healthingest_operator.reconcile.errors import ClusterError, ReconcileError

TERM_SECONDS: Final = 6.0
RENEW_DEADLINE_SECONDS: Final = 4.0
RETRY_SECONDS: Final = 1.0
"""
The longest time without a leader is a retry, in which the last renewal was not seen yet, and a term.

What is left of ten seconds is for the start of the watches and the first pass.
"""


class LeadershipLostError(ReconcileError):
    """Another one may work from now on: nothing more may be written."""


@dataclass(frozen=True, slots=True)
class Lease:
    """Who holds it ("" for nobody) in which version; every renewal makes another version."""

    holder: str
    version: str
    transitions: int = 0
    acquired: str = ""


class Leases(Protocol):
    """The one Lease of this installation."""

    async def read(self) -> Lease | None:
        """As it is; None: there is none. Raises `ClusterError`."""

    async def take(self, before: Lease | None, holder: str) -> Lease | None:
        """Make *holder* its holder, if it still is as *before*; None: somebody was quicker. Raises `ClusterError`."""


class Election:
    """One candidate. *clock* gives monotonic seconds."""

    def __init__(
        self,
        leases: Leases,
        identity: str,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._sleep = sleep
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._known_holder = ""
        self._renewed_at = 0.0

    async def acquire(self) -> None:
        """Wait until this one leads."""
        while not await self._attempt():
            left = self._seen_at + TERM_SECONDS - self._clock()
            # Not later than the term ends; but a server that refuses is not asked without pause.
            await self._sleep(min(RETRY_SECONDS, left) if left > 0 else RETRY_SECONDS)

    def leads(self) -> bool:
        """Whether this one was the leader a moment ago; whoever was stopped for long finds that he is none any more."""
        return self._holder() == self._identity and not self._is_late()

    async def hold(self) -> None:
        """
        Renew until cancelled.

        Raises:
            LeadershipLostError: another one leads, or may soon.
        """
        while True:
            await self._sleep(RETRY_SECONDS)
            # A process that was stopped meanwhile must not ask first: others would go on writing until the answer.
            if self._is_late():
                message = "the Lease was not renewed in time"
                raise LeadershipLostError(message)
            held = await self._attempt()
            if not held and self._holder() != self._identity:
                message = "another one holds the Lease"
                raise LeadershipLostError(message)
            if self._is_late():
                message = "the Lease could not be renewed in time"
                raise LeadershipLostError(message)

    async def release(self) -> None:
        """Let the next one lead at once; without it, he waits for the end of the term."""
        if self._holder() == self._identity:
            async with asyncio.timeout(RENEW_DEADLINE_SECONDS):
                await self._leases.take(self._seen, "")

    async def _attempt(self) -> bool:
        """Take or renew; what cannot be known now is no."""
        began = self._clock()
        try:
            # A renewal counts from its beginning; one that answers later is too late.
            async with asyncio.timeout(RENEW_DEADLINE_SECONDS / 2):
                self._see(await self._leases.read())
                if not self._is_free():
                    return False
                taken = await self._leases.take(self._seen, self._identity)
        except (ClusterError, TimeoutError):
            return False
        if taken is None:
            return False
        self._see(taken)
        self._renewed_at = began
        return True

    def _see(self, found: Lease | None) -> None:
        if found != self._seen:
            self._seen, self._seen_at = found, self._clock()
        if found is not None:
            self._known_holder = found.holder

    def _is_free(self) -> bool:
        return self._holder() in {"", self._identity} or self._clock() - self._seen_at >= TERM_SECONDS

    def _is_late(self) -> bool:
        return self._clock() - self._renewed_at > RENEW_DEADLINE_SECONDS

    def _holder(self) -> str:
        """Of a Lease that somebody removed it is still the one of before, who may not know it yet."""
        return self._known_holder
