"""The port `RateLimiter`, in this process and in Redis."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from secrets import token_hex

import pytest

from healthingest_service.adapters.memory_limiter import MemoryLimiter
from healthingest_service.adapters.redis import RedisLimiter, open_redis_limiter
from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.fallback_limiter import FallbackLimiter
from healthingest_service.identity.ports import RateLimiter
from healthingest_service.identity.throttling import Rate, Rule
from support.deadlines import HANG_SECONDS

PATIENT_SECONDS = 30.0  # a test machine may be slow; the deadline itself is tested below


@pytest.fixture(params=["memory", "redis"])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    """An empty limiter of each kind."""
    if request.param == "memory":
        yield MemoryLimiter()
        return
    url: str = request.getfixturevalue("redis_url")
    async with open_redis_limiter(url, timeout_seconds=PATIENT_SECONDS, key_prefix=token_hex(8)) as opened:
        yield opened


class TestRateLimiter:
    """What both do."""

    async def test_allows_so_many_and_no_more(self, limiter: RateLimiter) -> None:
        """Three are allowed, the fourth is not; what remains counts down."""
        rule = Rule("uploads", Rate(3, 60))
        decisions = [await limiter.hit(rule, "a") for _ in range(4)]
        assert [one.allowed for one in decisions] == [True, True, True, False]
        assert [one.remaining for one in decisions] == [2, 1, 0, 0]
        assert all(0 < one.reset_seconds <= 60 for one in decisions)

    async def test_keeps_keys_and_rules_apart(self, limiter: RateLimiter) -> None:
        """Another key, and the same key under another rule, has its own count."""
        one, other = Rule("uploads", Rate(1, 60)), Rule("requests", Rate(1, 60))
        assert (await limiter.hit(one, "a")).allowed
        assert not (await limiter.hit(one, "a")).allowed
        assert (await limiter.hit(one, "b")).allowed
        assert (await limiter.hit(other, "a")).allowed

    async def test_has_room_again_when_the_window_has_moved(self, limiter: RateLimiter) -> None:
        """A refused request says when to come again, and then there is room."""
        rule = Rule("uploads", Rate(1, 1))
        await limiter.hit(rule, "a")
        refused = await limiter.hit(rule, "a")
        assert not refused.allowed
        deadline = time.monotonic() + HANG_SECONDS
        while not (await limiter.hit(rule, "a")).allowed:  # the condition is time itself
            assert time.monotonic() < deadline
            await asyncio.sleep(refused.reset_seconds / 10)

    async def test_counts_at_one_moment(self, limiter: RateLimiter) -> None:
        """Of twenty at once exactly the allowed number comes through."""
        rule = Rule("uploads", Rate(7, 60))
        decisions = await asyncio.gather(*(limiter.hit(rule, "a") for _ in range(20)))
        assert sum(one.allowed for one in decisions) == 7


async def test_a_silent_server_costs_a_deadline_and_no_more() -> None:
    """A Redis that takes the connection and says nothing is unavailable within its deadline."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://127.0.0.1:{silent.getsockname()[1]}"
        async with open_redis_limiter(url, timeout_seconds=0.1) as limiter:
            with pytest.raises(LimiterUnavailableError):
                await limiter.hit(Rule("uploads", Rate(1, 60)), "a")
            with pytest.raises(LimiterUnavailableError):
                await limiter.check()


async def test_nobody_there_means_counting_alone() -> None:
    """Without Redis requests are still counted, guesses at a tenth of the rate."""
    async with open_redis_limiter("redis://127.0.0.1:9", timeout_seconds=0.1) as shared:
        limiter = FallbackLimiter(
            shared, MemoryLimiter(), clock=time.monotonic, pause_seconds=60, on_degraded=lambda _: None
        )
        logins, uploads = Rule("logins", Rate(20, 60), 10), Rule("uploads", Rate(3, 60))
        assert [(await limiter.hit(logins, "a")).allowed for _ in range(3)] == [True, True, False]
        assert [(await limiter.hit(uploads, "a")).allowed for _ in range(4)] == [True, True, True, False]


async def test_keys_do_not_stand_in_redis(redis_url: str) -> None:
    """An e-mail address that is counted cannot be read there."""
    prefix = token_hex(8)
    async with open_redis_limiter(redis_url, timeout_seconds=PATIENT_SECONDS, key_prefix=prefix) as limiter:
        await limiter.hit(Rule("logins", Rate(1, 60)), "login:ada@clinic.example")
        keys = await _keys(limiter, prefix)
    assert keys
    assert not [key for key in keys if "ada" in key]


async def _keys(limiter: RedisLimiter, prefix: str) -> list[str]:
    return [key.decode() async for key in limiter._client.scan_iter(f"{prefix}*")]


def test_an_address_that_is_none_is_not_repeated() -> None:
    """A password in a wrong address does not come back in the error."""

    async def opened() -> None:
        async with open_redis_limiter("http://user:hunter2@redis", timeout_seconds=0.1):
            pass

    with pytest.raises(ValueError, match="not an address of Redis") as refused:
        asyncio.run(opened())
    assert "hunter2" not in str(refused.value)
