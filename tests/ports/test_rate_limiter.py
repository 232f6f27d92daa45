"""The ports `RateLimiter` and `LoginThrottle`, in this process and in Redis."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from itertools import count
from secrets import token_hex

import pytest
import redis.asyncio

from healthingest_service.adapters.memory_limiter import MemoryLimiter, MemoryLoginThrottle
from healthingest_service.adapters.redis import open_redis
from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.fallback_limiter import FallbackLimiter, SharedCounters
from healthingest_service.identity.ports import LoginThrottle, RateLimiter
from healthingest_service.identity.throttling import (
    PARTS,
    Charge,
    Decision,
    LoginAttempt,
    Rate,
    Rule,
    Unit,
)
from support.cancelling import is_cancelled_at
from support.deadlines import HANG_SECONDS
from support.login_rules import LOGIN_RULES

PATIENT_SECONDS = 30.0  # a test machine may be slow; the deadline itself is tested below


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    """An empty limiter of each kind."""
    if request.param == "memory":
        yield MemoryLimiter()
        return
    url: str = request.getfixturevalue("redis_url")
    opening = open_redis(url, LOGIN_RULES, timeout_seconds=PATIENT_SECONDS, key_prefix=token_hex(8))
    async with opening as (opened, _):
        yield opened


@pytest.fixture(name="throttle", params=["memory", "redis"])
async def _throttle(request: pytest.FixtureRequest) -> AsyncIterator[LoginThrottle]:
    """A login throttle of each kind without failures."""
    if request.param == "memory":
        yield MemoryLoginThrottle(LOGIN_RULES)
        return
    url: str = request.getfixturevalue("redis_url")
    opening = open_redis(url, LOGIN_RULES, timeout_seconds=PATIENT_SECONDS, key_prefix=token_hex(8))
    async with opening as (_, opened):
        yield opened


def of_bytes(amount: int, window_seconds: int) -> Rule:
    """Return a limit of bytes."""
    return Rule("bytes", Rate(amount, window_seconds), unit=Unit.BYTES)


async def hit(limiter: RateLimiter, rule: Rule, key: str) -> Decision:
    """Count one request."""
    (decision,) = await limiter.count(Charge(rule, key))
    return decision


async def spend(limiter: RateLimiter, rule: Rule, key: str, amount: int) -> Decision:
    """Count bytes."""
    (decision,) = await limiter.count(Charge(rule, key, amount))
    return decision


class TestRateLimiter:
    """What both do."""

    async def test_counts_several_rules_at_once(self, limiter: RateLimiter) -> None:
        """Each with its own decision, in the order of the charges."""
        uploads = Charge(Rule("uploads", Rate(3, 60)), "a")
        size = Charge(of_bytes(100, 3600), "a", 40)
        for remaining in ((2, 60), (1, 20)):
            decisions = await limiter.count(uploads, size)
            assert [one.rule for one in decisions] == [uploads.rule, size.rule]
            assert [one.allowed for one in decisions] == [True, True]
            assert tuple(one.remaining for one in decisions) == remaining
            assert 0 < decisions[0].reset_seconds <= 60 < decisions[1].reset_seconds

    async def test_a_refused_charge_keeps_the_later_ones_uncounted(
        self, limiter: RateLimiter
    ) -> None:
        """Those before it stay counted, itself does not."""
        once = Rule("once", Rate(1, 60))
        often = Rule("often", Rate(9, 60))
        size = of_bytes(100, 3600)
        await limiter.count(Charge(once, "a"))
        for remaining in (8, 7):
            counted, refused = await limiter.count(
                Charge(often, "a"), Charge(once, "a"), Charge(size, "a", 10)
            )
            assert (counted.allowed, counted.remaining) == (True, remaining)
            assert (refused.rule, refused.allowed) == (once, False)
        too_much, *rest = await limiter.count(Charge(size, "a", 101), Charge(often, "a"))
        assert (too_much.allowed, too_much.remaining, rest) == (False, 100, [])
        assert (await hit(limiter, often, "a")).remaining == 6

    async def test_spends_amounts_as_far_as_they_remain(self, limiter: RateLimiter) -> None:
        """A refused amount is not counted, and a smaller one still fits; 0 only asks."""
        rule = of_bytes(100, 3600)
        decisions = [await spend(limiter, rule, "a", amount) for amount in (0, 70, 31, 30, 0, 1)]
        assert [one.allowed for one in decisions] == [True, True, False, True, False, False]
        assert [one.remaining for one in decisions] == [100, 30, 30, 0, 0, 0]
        assert all(3450 <= one.reset_seconds <= 3750 for one in decisions)
        assert (await spend(limiter, rule, "b", 100)).allowed
        assert (await hit(limiter, Rule("bytes", Rate(1, 60)), "a")).allowed

    async def test_an_amount_has_room_again_when_the_window_has_moved(
        self, limiter: RateLimiter
    ) -> None:
        """After the time that a refused amount was told."""
        rule = of_bytes(2**53 - 1, 1)
        await spend(limiter, rule, "a", 2**53 - 1)
        refused = await spend(limiter, rule, "a", 2**53 - 1)
        assert not refused.allowed
        deadline = time.monotonic() + HANG_SECONDS
        while not (await spend(limiter, rule, "a", 2**53 - 1)).allowed:
            assert time.monotonic() < deadline
            await asyncio.sleep(refused.reset_seconds / 10)

    async def test_spends_at_one_moment(self, limiter: RateLimiter) -> None:
        """Of twenty concurrent amounts so many are accepted as fit."""
        rule = of_bytes(75, 3600)
        decisions = await asyncio.gather(*(spend(limiter, rule, "a", 10) for _ in range(20)))
        assert sum(one.allowed for one in decisions) == 7

    async def test_allows_so_many_and_no_more(self, limiter: RateLimiter) -> None:
        """Three are allowed, the fourth is refused; the remaining number counts down."""
        rule = Rule("uploads", Rate(3, 60))
        decisions = [await hit(limiter, rule, "a") for _ in range(4)]
        assert [one.allowed for one in decisions] == [True, True, True, False]
        assert [one.remaining for one in decisions] == [2, 1, 0, 0]
        assert all(0 < one.reset_seconds <= 60 for one in decisions)

    async def test_keeps_keys_and_rules_apart(self, limiter: RateLimiter) -> None:
        """Another key, and the same key under another rule, has its own count."""
        one = Rule("uploads", Rate(1, 60))
        other = Rule("requests", Rate(1, 60))
        assert (await hit(limiter, one, "a")).allowed
        assert not (await hit(limiter, one, "a")).allowed
        assert (await hit(limiter, one, "b")).allowed
        assert (await hit(limiter, other, "a")).allowed

    async def test_has_room_again_when_the_window_has_moved(self, limiter: RateLimiter) -> None:
        """A refused request has the time to wait, after which there is room."""
        rule = Rule("uploads", Rate(1, 1))
        await hit(limiter, rule, "a")
        refused = await hit(limiter, rule, "a")
        assert not refused.allowed
        deadline = time.monotonic() + HANG_SECONDS
        while not (await hit(limiter, rule, "a")).allowed:  # the condition is time itself
            assert time.monotonic() < deadline
            await asyncio.sleep(refused.reset_seconds / 10)

    async def test_counts_at_one_moment(self, limiter: RateLimiter) -> None:
        """Of twenty concurrent requests exactly the allowed number is accepted."""
        rule = Rule("uploads", Rate(7, 60))
        decisions = await asyncio.gather(*(hit(limiter, rule, "a") for _ in range(20)))
        assert sum(one.allowed for one in decisions) == 7

    async def test_a_wall_clock_that_is_put_back_locks_nobody_out(
        self, limiter: RateLimiter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """After a change by two hours the wait is still within the window."""
        rule = Rule("uploads", Rate(1, 60))
        await hit(limiter, rule, "a")
        earlier = time.time() - 7200
        monkeypatch.setattr("time.time", lambda: earlier)
        refused = await hit(limiter, rule, "a")
        assert not refused.allowed
        assert 0 < refused.reset_seconds <= 60


def by(email: str = "ada@clinic.example", address: str = "192.0.2.1") -> LoginAttempt:
    """An attempt of one account from one address."""
    return LoginAttempt(email, address)


async def fail(throttle: LoginThrottle, *attempts: LoginAttempt) -> None:
    """Record failed attempts, whatever their delay."""
    for attempt in attempts:
        await throttle.failed(attempt)


class TestLoginThrottle:
    """What both do."""

    async def test_free_failures_cost_nothing(self, throttle: LoginThrottle) -> None:
        """Two wrong passwords, then a third attempt and a fourth at once."""
        await fail(throttle, by(), by())
        assert [await throttle.admit(by()) for _ in range(2)] == [0, 0]

    async def test_after_them_one_attempt_at_a_time_is_admitted(
        self, throttle: LoginThrottle
    ) -> None:
        """Of five concurrent attempts one is admitted; the others get the time to wait."""
        await fail(throttle, by(), by(), by())
        waits = await asyncio.gather(*(throttle.admit(by()) for _ in range(5)))
        assert min(waits) == 0
        assert all(0 < wait <= 100 for wait in waits if wait)
        assert sum(wait == 0 for wait in waits) == 1

    async def test_nobody_locks_the_owner_out(self, throttle: LoginThrottle) -> None:
        """After ten wrong passwords from one address, the owner logs in from another."""
        await fail(throttle, *[by(address="198.51.100.9")] * 5)
        assert await throttle.admit(by(address="198.51.100.9")) == 0
        assert await throttle.admit(by(address="198.51.100.9")) > 0
        assert await throttle.admit(by()) == 0

    async def test_many_addresses_at_one_account_share_its_attempts(
        self, throttle: LoginThrottle
    ) -> None:
        """Above the limit of the account; a device that has logged in before is exempt."""
        await throttle.succeeded(by(address="203.0.113.1"))
        await fail(throttle, *(by(address=f"198.51.100.{number}") for number in range(6)))
        assert await throttle.admit(by()) == 0
        assert 0 < await throttle.admit(by(address="192.0.2.2")) <= 60
        assert [await throttle.admit(by(address="203.0.113.1")) for _ in range(2)] == [0, 0]

    async def test_one_address_at_many_accounts_is_slowed_down(
        self, throttle: LoginThrottle
    ) -> None:
        """Above the limit of the address; its known devices are exempt."""
        await throttle.succeeded(by("grace@clinic.example"))
        await fail(throttle, *(by(f"{number}@clinic.example") for number in range(9)))
        assert await throttle.admit(by("new@clinic.example")) == 0
        assert 0 < await throttle.admit(by("newer@clinic.example")) <= 60
        assert await throttle.admit(by("grace@clinic.example")) == 0

    async def test_a_success_ends_the_waiting_of_its_device(self, throttle: LoginThrottle) -> None:
        """Its failures are forgotten."""
        await fail(throttle, by(), by(), by())
        assert await throttle.admit(by()) == 0
        await throttle.succeeded(by())
        assert [await throttle.admit(by()) for _ in range(2)] == [0, 0]


async def test_failures_are_forgotten() -> None:
    """An hour after the last one; a known device is forgotten after a day."""
    now = 1000.0
    throttle = MemoryLoginThrottle(LOGIN_RULES, lambda: now)
    await throttle.succeeded(by(address="203.0.113.1"))
    await fail(throttle, *[by()] * 6)
    now += 3600
    assert [await throttle.admit(by()) for _ in range(2)] == [0, 0]
    await fail(throttle, *[by()] * 6)
    now += 3000
    await throttle.admit(by(address="192.0.2.7"))
    assert await throttle.admit(by(address="203.0.113.1")) == 0
    now += 86_400
    await fail(throttle, *[by()] * 6)
    await throttle.admit(by(address="192.0.2.7"))
    assert await throttle.admit(by(address="203.0.113.1")) > 0


async def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many keys a client invents, their number is limited."""
    monkeypatch.setattr("healthingest_service.adapters.memory_limiter._MAX_KEYS", 30)
    limiter = MemoryLimiter()
    throttle = MemoryLoginThrottle(LOGIN_RULES)
    for number in range(100):
        await hit(limiter, Rule("logins", Rate(1, 60)), str(number))
        await spend(limiter, of_bytes(10, 60), str(number), 1)
        await fail(throttle, by(str(number)))
        await throttle.succeeded(by(str(number)))
    assert len(limiter._hits) == len(limiter._spent) == len(throttle._known_until) == 30
    assert len(throttle._failures) <= 30


async def test_an_amount_never_leaves_the_window_too_early() -> None:
    """In no window more is spent than the rule allows, and a key has a bounded number of parts."""
    now = 1000.0
    limiter = MemoryLimiter(lambda: now)
    rule = of_bytes(300, PARTS * 10)
    spent: list[tuple[float, int]] = []
    for number in range(4000):
        now += (number % 7) * 0.9
        amount = 1 + number % 13
        if (await spend(limiter, rule, "a", amount)).allowed:
            spent.append((now, amount))
        assert sum(size for at, size in spent if at > now - PARTS * 10) <= 300
        spent = [one for one in spent if one[0] > now - PARTS * 20]
    (parts,) = limiter._spent.values()
    assert len(parts) <= PARTS + 1


async def test_a_silent_server_costs_a_deadline_and_no_more() -> None:
    """A Redis that never answers is unavailable within its deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        async with open_redis(url, LOGIN_RULES, timeout_seconds=0.1) as (limiter, throttle):
            with pytest.raises(LimiterUnavailableError):
                await throttle.admit(by())
            with pytest.raises(LimiterUnavailableError):
                await hit(limiter, Rule("uploads", Rate(1, 60)), "a")
            with pytest.raises(LimiterUnavailableError):
                await spend(limiter, of_bytes(1, 60), "a", 1)
            with pytest.raises(LimiterUnavailableError):
                await limiter.check()


async def test_a_redis_that_lost_its_scripts_counts_on(redis_url: str) -> None:
    """As after a restart: the request that finds out is counted, too."""
    rule = Rule("uploads", Rate(9, 60))
    async with (
        open_redis(
            redis_url, LOGIN_RULES, timeout_seconds=PATIENT_SECONDS, key_prefix=token_hex(8)
        ) as (limiter, _),
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        for remaining in (8, 7, 6):
            assert (await hit(limiter, rule, "a")).remaining == remaining
            await client.script_flush()


async def test_a_cancelled_call_leaves_no_reply_to_another(redis_url: str) -> None:
    """Wherever it is cancelled, the next call gets its own decision."""
    rule = Rule("uploads", Rate(10_000, 60))
    async with open_redis(
        redis_url, LOGIN_RULES, timeout_seconds=PATIENT_SECONDS, key_prefix=token_hex(8)
    ) as (limiter, _):
        await hit(limiter, rule, "next")  # connects, and makes the counts of the keys differ
        for wait in count():
            cancelled = await is_cancelled_at(wait, limiter.count(Charge(rule, "cancelled")))
            assert (await hit(limiter, rule, "next")).remaining == 9_998 - wait
            if not cancelled:
                break
        assert wait > 0


async def test_a_connection_that_redis_closed_costs_no_decision(redis_url: str) -> None:
    """The next call opens another one."""
    rule = Rule("uploads", Rate(9, 60))
    name = token_hex(8)
    async with (
        open_redis(
            f"{redis_url}?client_name={name}",
            LOGIN_RULES,
            timeout_seconds=PATIENT_SECONDS,
            key_prefix=name,
        ) as (limiter, _),
        redis.asyncio.Redis.from_url(redis_url) as client,
    ):
        for remaining in (8, 7):
            assert (await hit(limiter, rule, "a")).remaining == remaining
            (ours,) = [one for one in await client.client_list() if one["name"] == name]
            await client.client_kill_filter(_id=ours["id"])


async def test_nobody_there_means_counting_alone() -> None:
    """Without Redis requests are still counted, and logins at a tenth of the rate."""
    async with open_redis("redis://127.0.0.1:9", LOGIN_RULES, timeout_seconds=0.1) as (shared, _):
        counters = SharedCounters(
            clock=time.monotonic, pause_seconds=60, on_degraded=lambda _: None
        )
        limiter = FallbackLimiter(counters, shared, MemoryLimiter())
        logins = Rule("logins", Rate(20, 60), 10)
        uploads = Rule("uploads", Rate(3, 60))
        assert [(await hit(limiter, logins, "a")).allowed for _ in range(3)] == [True, True, False]
        assert [(await hit(limiter, uploads, "a")).allowed for _ in range(4)] == [
            True,
            True,
            True,
            False,
        ]
        quota = of_bytes(10, 60)
        assert [(await spend(limiter, quota, "a", 6)).allowed for _ in range(2)] == [True, False]


async def test_keys_do_not_stand_in_redis(redis_url: str) -> None:
    """An e-mail address that is counted cannot be read there."""
    prefix = token_hex(8)
    opening = open_redis(redis_url, LOGIN_RULES, timeout_seconds=PATIENT_SECONDS, key_prefix=prefix)
    async with opening as (limiter, throttle):
        await hit(limiter, Rule("logins", Rate(1, 60)), "login:ada@clinic.example")
        await spend(limiter, of_bytes(10, 60), "account:ada@clinic.example", 1)
        await throttle.failed(by())
        await throttle.succeeded(by())
        async with redis.asyncio.Redis.from_url(redis_url) as client:
            keys = [key.decode() async for key in client.scan_iter(f"{prefix}*")]
            assert all([await client.ttl(key) > 0 for key in keys])
    assert keys
    assert not [key for key in keys if "ada" in key or "192.0" in key]


def test_an_address_that_is_none_is_not_repeated() -> None:
    """A password in an invalid address is not in the error."""

    async def opened() -> None:
        async with open_redis("http://user:hunter2@redis", LOGIN_RULES, timeout_seconds=0.1):
            pass

    with pytest.raises(ValueError, match="must be an address such as rediss:") as refused:
        asyncio.run(opened())
    assert "hunter2" not in str(refused.value)
