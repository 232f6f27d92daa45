"""
Leader election: only the operator that holds the Lease works.

The rules are those of client-go's leader election. A candidate takes over a Lease only after it has
itself seen the Lease unchanged for a whole lease duration, so clocks need not agree. A leader that
cannot renew the Lease gives up well before that.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from healthingest_operator.reconcile.errors import ClusterError, ReconcileError

_LEAST_RATIO: Final = 1.2
"""
Minimum ratio of renew deadline and retry period.

client-go requires the same ratio, because it adds that much jitter to retries.
"""


class LeadershipLostError(ReconcileError):
    """Another operator may be the leader from now on, so this one must not write any more."""


@dataclass(frozen=True, slots=True)
class ElectionTimes:
    """
    The periods of an election, in seconds; the defaults are those of controller-runtime.

    A leader that cannot renew for `renew_deadline` steps down. Another candidate takes over when it
    has seen no renewal for `lease_duration`. The difference is the time that a request sent just
    before may still take. The longest time without a leader is `lease_duration` plus one
    `retry_period`.

    Raises:
        ValueError: `lease_duration` > `renew_deadline` > 1.2 * `retry_period` > 0 does not hold.
    """

    lease_duration: float = 15.0
    renew_deadline: float = 10.0
    retry_period: float = 2.0

    def __post_init__(self) -> None:
        """Check the order of the periods."""
        if not self.lease_duration > self.renew_deadline > _LEAST_RATIO * self.retry_period > 0:
            message = (
                "the lease duration must be longer than the renew deadline, and that longer"
                " than 1.2 retry periods; "
                f"they are {self.lease_duration:g}, {self.renew_deadline:g} and"
                f" {self.retry_period:g} seconds"
            )
            raise ValueError(message)


@dataclass(frozen=True, slots=True)
class Lease:
    """Holder and version of the Lease; every renewal creates a new version; "" is no holder."""

    holder: str
    version: str
    transitions: int = 0
    acquired: str = ""


class Leases(Protocol):
    """The one Lease of this installation."""

    async def read(self) -> Lease | None:
        """Return the Lease; None: it does not exist. Raises `ClusterError`."""

    async def take(self, before: Lease | None, holder: str) -> Lease | None:
        """
        Write *holder* if the Lease is unchanged since *before*; None: it has changed.

        Raises `ClusterError`.
        """


DEFAULT_TIMES: Final = ElectionTimes()


class Election:
    """
    A candidate of the election; *clock* gives monotonic seconds.

    `acquire` and `hold` may be repeated after leadership was lost.
    """

    def __init__(
        self,
        leases: Leases,
        identity: str,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        times: ElectionTimes = DEFAULT_TIMES,
    ) -> None:
        self._leases = leases
        self._identity = identity
        self._clock = clock
        self._sleep = sleep
        self._times = times
        self._seen: Lease | None = None
        self._seen_at = 0.0
        self._known_holder = ""
        self._renewed_at = 0.0

    async def acquire(self) -> None:
        """Wait until this candidate is the leader."""
        while not await self._attempt():
            left = self._seen_at + self._times.lease_duration - self._clock()
            # Sleep at most until the lease expires; if the server refuses, sleep for the retry
            # period.
            await self._sleep(
                min(self._times.retry_period, left) if left > 0 else self._times.retry_period
            )

    def leads(self) -> bool:
        """
        Whether this candidate is the leader: its last renewal has not expired.

        A process that was suspended for long is not the leader any more.
        """
        return self._holder() == self._identity and not self._is_late()

    async def hold(self) -> None:
        """
        Renew the Lease until cancelled.

        Raises:
            LeadershipLostError: another candidate leads or may lead soon.
        """
        while True:
            await self._sleep(self._times.retry_period)
            # After a suspension of the process the clock is checked before the request: otherwise
            # other tasks would write until the response.
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
        """Give up the Lease, so that the next candidate need not wait until it expires."""
        if self._holder() == self._identity:
            async with asyncio.timeout(self._times.renew_deadline):
                await self._leases.take(self._seen, "")

    async def _attempt(self) -> bool:
        """Take or renew the Lease; return False also if the API server does not respond."""
        began = self._clock()
        try:
            # A renewal is valid from the start of its request.
            async with asyncio.timeout(self._times.renew_deadline / 2):
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
            self._seen = found
            self._seen_at = self._clock()
        if found is not None:
            self._known_holder = found.holder

    def _is_free(self) -> bool:
        return (
            self._holder() in {"", self._identity}
            or self._clock() - self._seen_at >= self._times.lease_duration
        )

    def _is_late(self) -> bool:
        return self._clock() - self._renewed_at > self._times.renew_deadline

    def _holder(self) -> str:
        """The last known holder; a removed Lease still belongs to it."""
        return self._known_holder
