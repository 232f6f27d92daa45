"""Who leads, on a clock and a Lease that the tests hold."""

from dataclasses import dataclass, field

import pytest
from typing_extensions import override

from healthingest_operator.reconcile.errors import ClusterError
from healthingest_operator.reconcile.leader_election import (
    DEFAULT_TIMES,
    Election,
    ElectionTimes,
    LeadershipLostError,
    Lease,
    Leases,
)

LEASE_SECONDS = DEFAULT_TIMES.lease_duration
RENEW_SECONDS = DEFAULT_TIMES.renew_deadline
RETRY_SECONDS = DEFAULT_TIMES.retry_period


@dataclass
class OneLease:
    """Versions as the API server makes them; `away` is a server that does not answer."""

    lease: Lease | None = None
    versions: int = 0
    away: set[str] = field(default_factory=set)

    def seen_by(self, who: str) -> "Window":
        """The Lease as one candidate reaches it."""
        return Window(self, who)


@dataclass
class Window(Leases):
    """See `Leases`."""

    shared: OneLease
    who: str

    @override
    async def read(self) -> Lease | None:
        if self.who in self.shared.away:
            raise ClusterError(0, "no answer")
        return self.shared.lease

    @override
    async def take(self, before: Lease | None, holder: str) -> Lease | None:
        if self.shared.lease != before:
            return None
        self.shared.versions += 1
        self.shared.lease = Lease(holder, str(self.shared.versions))
        return self.shared.lease


@dataclass
class Time:
    """
    A clock that moves only by sleeping.

    After `limit` seconds a sleep ends the test's patience.
    """

    seconds: float = 0.0
    limit: float = 60.0

    def now(self) -> float:
        """Monotonic seconds."""
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        """Let them pass."""
        self.seconds += seconds
        if self.seconds > self.limit:
            raise TimeoutError


def candidate(shared: OneLease, who: str, time: Time) -> Election:
    """One of several operators."""
    return Election(shared.seen_by(who), who, time.now, time.sleep)


async def test_the_first_leads_and_the_second_waits() -> None:
    """As long as the first renews."""
    shared = OneLease()
    time = Time()
    first = candidate(shared, "a", time)
    second = candidate(shared, "b", time)
    await first.acquire()
    for _ in range(20):
        assert not await second._attempt()
        await time.sleep(RETRY_SECONDS)
        assert await first._attempt()
    assert shared.lease is not None
    assert shared.lease.holder == "a"


@pytest.mark.parametrize("phase", [0.0, 0.25, 0.5, 0.75, 0.99])
async def test_a_dead_leader_is_followed_within_seventeen_seconds(phase: float) -> None:
    """
    Whenever in the follower's rhythm the last renewal came.

    And not before a whole term without a renewal.
    """
    shared = OneLease()
    time = Time(seconds=1000, limit=2000)
    leader = candidate(shared, "a", time)
    follower = candidate(shared, "b", time)
    await leader.acquire()
    assert not await follower._attempt()
    await time.sleep(phase * RETRY_SECONDS)
    assert await leader._attempt()
    died = time.seconds
    await time.sleep((1 - phase) * RETRY_SECONDS)
    await follower.acquire()
    assert LEASE_SECONDS <= time.seconds - died <= RETRY_SECONDS + LEASE_SECONDS + 0.001 < 18


async def test_a_lease_of_unknown_age_is_respected_for_a_term() -> None:
    """However old it is: clocks need not agree."""
    shared = OneLease(Lease("dead", "7"))
    time = Time(seconds=1000, limit=2000)
    await candidate(shared, "b", time).acquire()
    assert LEASE_SECONDS <= time.seconds - 1000 <= LEASE_SECONDS + 0.001


async def test_a_lease_that_somebody_removed_is_made_again_by_its_leader() -> None:
    """
    Whoever waits cannot know whether the leader has seen it yet.

    He waits as for one that is not renewed.
    """
    shared = OneLease()
    time = Time(seconds=1000, limit=2000)
    leader = candidate(shared, "a", time)
    follower = candidate(shared, "b", time)
    await leader.acquire()
    assert not await follower._attempt()
    shared.lease = None
    assert not await follower._attempt()
    assert await leader._attempt()
    shared.lease = None
    began = time.seconds
    await follower.acquire()
    assert LEASE_SECONDS <= time.seconds - began <= LEASE_SECONDS + 0.001


async def test_who_was_stopped_for_long_leads_no_more_and_asks_nobody() -> None:
    """A process that was frozen wakes as the leader that it was: it must know by its own clock."""
    shared = OneLease()
    time = Time()
    leader = candidate(shared, "a", time)
    assert not leader.leads()
    await leader.acquire()
    assert leader.leads()
    time.seconds += RENEW_SECONDS + 0.1
    assert not leader.leads()
    before = shared.lease
    with pytest.raises(LeadershipLostError):
        await leader.hold()
    assert shared.lease is before


async def test_who_cannot_renew_stops_before_another_may_start() -> None:
    """The leader gives up in time, even if the answers just do not come."""
    shared = OneLease()
    time = Time()
    leader = candidate(shared, "a", time)
    await leader.acquire()
    shared.away.add("a")
    with pytest.raises(LeadershipLostError):
        await leader.hold()
    assert RENEW_SECONDS < time.seconds < LEASE_SECONDS


async def test_who_was_overtaken_stops_at_once() -> None:
    """A Lease of another name is the end."""
    shared = OneLease()
    time = Time()
    leader = candidate(shared, "a", time)
    await leader.acquire()
    shared.lease = Lease("b", "99")
    with pytest.raises(LeadershipLostError):
        await leader.hold()
    assert time.seconds == RETRY_SECONDS


async def test_who_lost_stands_again_and_leads_when_nobody_else_does() -> None:
    """
    One that had no processor for long is the leader again at once.

    It need not wait for the end of its own Lease.
    """
    shared = OneLease()
    time = Time()
    leader = candidate(shared, "a", time)
    await leader.acquire()
    time.seconds += LEASE_SECONDS
    with pytest.raises(LeadershipLostError):
        await leader.hold()
    before = time.seconds
    await leader.acquire()
    assert leader.leads()
    assert time.seconds == before


async def test_who_lost_to_another_waits_for_the_end_of_its_lease() -> None:
    """A loser is a candidate as any other."""
    shared = OneLease()
    time = Time(seconds=1000, limit=2000)
    leader = candidate(shared, "a", time)
    await leader.acquire()
    shared.lease = Lease("b", "99")
    with pytest.raises(LeadershipLostError):
        await leader.hold()
    seen = time.seconds
    await leader.acquire()
    assert LEASE_SECONDS <= time.seconds - seen <= LEASE_SECONDS + 0.001


@pytest.mark.parametrize("wrong", [(10, 10, 2), (15, 2, 2), (15, 10, 0)])
def test_times_out_of_order_are_refused(wrong: tuple[float, float, float]) -> None:
    """A leader that gives up later than another one takes over would write beside it."""
    with pytest.raises(ValueError, match="lease duration must be longer"):
        ElectionTimes(*wrong)


async def test_who_ends_lets_the_next_one_lead_at_once() -> None:
    """An upgrade has no gap."""
    shared = OneLease()
    time = Time()
    first = candidate(shared, "a", time)
    second = candidate(shared, "b", time)
    await first.acquire()
    assert not await second._attempt()
    await first.release()
    assert await second._attempt()
    await first.release()
    assert shared.lease is not None
    assert shared.lease.holder == "b"


async def test_of_two_at_once_one_wins() -> None:
    """The one whose write the server took first."""
    shared = OneLease()
    time = Time()
    assert await shared.seen_by("a").take(None, "a") is not None
    assert await shared.seen_by("b").take(None, "b") is None
    assert not await candidate(shared, "b", time)._attempt()
