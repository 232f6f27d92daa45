"""
Counts in Redis, shared by all processes.

Each question is one script, so one round trip, and takes the time from Redis: the clocks of the
processes may differ or be put back. Keys are hashed: no e-mail address or client address is stored
there.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.throttling import (
    Backoff,
    Decision,
    LoginAttempt,
    LoginRules,
    Rule,
)

KEY_PREFIX: Final = "healthingest"
_MAX_CONNECTIONS: Final = 32

_HIT: Final = """
local time = redis.call('TIME')
local now, window, limit = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '(' .. string.format('%.0f', now), '+inf')
local count = redis.call('ZCARD', KEYS[1])
local allowed = count < limit
if allowed then
  redis.call('ZADD', KEYS[1], now, ARGV[3])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
  count = count + 1
end
local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
return {allowed and 1 or 0, limit - count, math.floor(oldest[2] + window - now)}
"""
"""
A moving window: microseconds of each hit.

Hits of the future, after Redis' own clock was put back, do not count.
"""

_ADMIT: Final = """
local guards = #KEYS / 2
if redis.call('EXISTS', ARGV[1]) == 1 then guards = 1 end
local wait = 0
for n = 1, guards do
  wait = math.max(wait, redis.call('PTTL', KEYS[2 * n]))
end
if wait > 0 then return wait end
for n = 1, guards do
  local over = tonumber(redis.call('GET', KEYS[2 * n - 1]) or '0') - tonumber(ARGV[3 * n - 1])
  if over >= 0 then
    local first_seconds = tonumber(ARGV[3 * n])
    local max_seconds = tonumber(ARGV[3 * n + 1])
    local delay = math.min(first_seconds * 2 ^ math.min(over, 32), max_seconds)
    redis.call('SET', KEYS[2 * n], 1, 'PX', math.ceil(delay))
  end
end
return 0
"""
"""
`LoginThrottle.admit`.

KEYS are a count of failures and a closed door for each guard, the device's first.
"""


class RedisLimiter:
    """A moving window kept by a script in Redis."""

    def __init__(self, counters: "_Counters") -> None:
        self._counters = counters

    async def hit(self, rule: Rule, key: str) -> Decision:
        """As the port says."""
        window_seconds = rule.rate.window_seconds
        allowed, remaining, reset_microseconds = await self._counters.run(
            _HIT,
            [self._counters.key(f"rate:{rule.name}", key)],
            [window_seconds * 1_000_000, rule.rate.amount, secrets.token_hex(8)],
        )
        reset_seconds = min(max(reset_microseconds / 1e6, 0.0), float(window_seconds))
        return Decision(rule, bool(allowed), remaining, reset_seconds)

    async def check(self) -> None:
        """
        Ask Redis for a sign of life.

        Raises:
            LimiterUnavailableError: it gives none.
        """
        await self._counters.ping()


class RedisLoginThrottle:
    """Failed logins and known devices in Redis; each key expires by itself."""

    def __init__(self, counters: "_Counters", rules: LoginRules) -> None:
        self._counters = counters
        self._rules = rules

    async def admit(self, attempt: LoginAttempt) -> float:
        """As the port says."""
        keys = list[str]()
        numbers = list[str | float]()
        for key, backoff in attempt.guards(self._rules, is_known=False):
            keys += [self._counters.key("failures", key), self._counters.key("closed", key)]
            numbers += _in_milliseconds(backoff)
        known = self._counters.key("known", attempt.device_key)
        return float(await self._counters.run(_ADMIT, keys, [known, *numbers])) / 1000

    async def failed(self, attempt: LoginAttempt) -> None:
        """As the port says."""
        async with self._counters.pipeline() as pipeline:
            for key in (attempt.device_key, attempt.account_key, attempt.address_key):
                hashed = self._counters.key("failures", key)
                pipeline.incr(hashed)
                pipeline.expire(hashed, self._rules.memory_seconds)

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """As the port says."""
        key = attempt.device_key
        async with self._counters.pipeline() as pipeline:
            pipeline.delete(self._counters.key("failures", key), self._counters.key("closed", key))
            pipeline.set(self._counters.key("known", key), 1, ex=self._rules.known_device_seconds)


def _in_milliseconds(backoff: Backoff) -> list[str | float]:
    return [
        backoff.free_failures,
        backoff.first_delay_seconds * 1000,
        backoff.max_delay_seconds * 1000,
    ]


class _Counters:
    """A client with a deadline, and our error for all of its."""

    def __init__(
        self, client: redis.asyncio.Redis, *, timeout_seconds: float, key_prefix: str
    ) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._key_prefix = key_prefix
        self._scripts: dict[str, Any] = {}

    def key(self, kind: str, key: str) -> str:
        """The name under which *key* is stored."""
        return f"{self._key_prefix}:{kind}:{hashlib.sha256(key.encode()).hexdigest()}"

    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401 - what Lua returns
        """Run *script*; Redis keeps it under its hash."""
        async with self._deadline():
            if script not in self._scripts:
                self._scripts[script] = self._client.register_script(script)
            return await self._scripts[script](keys=keys, args=arguments)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Any]:
        """Commands that are sent together at the end of the context."""
        async with self._deadline(), self._client.pipeline(transaction=True) as pipeline:
            yield pipeline
            await pipeline.execute()

    async def ping(self) -> None:
        """Ask for a sign of life."""
        async with self._deadline():
            await self._client.ping()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except (redis.RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailableError from error


@asynccontextmanager
async def open_redis(
    url: str, rules: LoginRules, *, timeout_seconds: float, key_prefix: str = KEY_PREFIX
) -> AsyncIterator[tuple[RedisLimiter, RedisLoginThrottle]]:
    """
    A limiter and a throttle over `redis://` or `rediss://`.

    Nothing is connected before the first question.

    Raises:
        ValueError: not such an address; it is not repeated.
    """
    try:
        pool = redis.asyncio.BlockingConnectionPool.from_url(
            url,
            max_connections=_MAX_CONNECTIONS,
            timeout=timeout_seconds,
            socket_timeout=timeout_seconds,
            socket_connect_timeout=timeout_seconds,
        )
    except ValueError:
        message = "not an address of Redis"
        raise ValueError(message) from None
    client = redis.asyncio.Redis(connection_pool=pool)
    try:
        counters = _Counters(client, timeout_seconds=timeout_seconds, key_prefix=key_prefix)
        yield RedisLimiter(counters), RedisLoginThrottle(counters, rules)
    finally:
        await client.aclose()
        await pool.aclose()
