"""
Rate limits that are counted in Redis, shared by all processes.

Each decision is one script, so one round trip. Scripts use the clock of Redis, since the clocks of
processes may differ or be set back. Keys are hashed: Redis stores no e-mail or client address.
"""

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, tls_context
from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.throttling import (
    PARTS,
    Backoff,
    Decision,
    LoginAttempt,
    LoginRules,
    Rule,
    spending,
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
`RateLimiter.hit`: a sorted set with the time of each hit in microseconds.

Hits in the future are removed; they occur after the clock of Redis was set back.
"""

_SPEND: Final = """
local time = redis.call('TIME')
local now, window, parts = time[1] * 1000000 + time[2], tonumber(ARGV[1]), tonumber(ARGV[2])
local limit, amount = tonumber(ARGV[3]), tonumber(ARGV[4])
local current, used, spent = math.floor(now / (window / parts)), 0, {}
local found = redis.call('HGETALL', KEYS[1])
for n = 1, #found, 2 do
  local part = tonumber(found[n])
  if part < current - parts or part > current then
    redis.call('HDEL', KEYS[1], found[n])
  else
    used = used + tonumber(found[n + 1])
    spent[#spent + 1] = found[n]
    spent[#spent + 1] = found[n + 1]
  end
end
if limit - used >= math.max(amount, 1) and amount > 0 then
  redis.call('HINCRBY', KEYS[1], string.format('%.0f', current), ARGV[4])
  redis.call('PEXPIRE', KEYS[1], math.ceil(window * (parts + 1) / parts / 1000))
end
return {now, spent}
"""
"""
`RateLimiter.spend`: a hash with the amount of each part of the window.

Returns the time in microseconds, and what was spent before: parts and amounts in turn. Amounts are
below 2^53, so Lua's numbers are exact. Parts in the future are removed, as in `_HIT`.
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
`LoginThrottle.admit`: returns the milliseconds to wait.

KEYS has two keys for each of device, account and address: the count of failures, and a key that
blocks attempts until it expires.
"""


class RedisLimiter:
    """A rate limiter with a sliding window in Redis."""

    def __init__(self, counters: "_Counters") -> None:
        self._counters = counters

    async def hit(self, rule: Rule, key: str) -> Decision:
        """See `RateLimiter.hit`."""
        window_seconds = rule.rate.window_seconds
        allowed, remaining, reset_microseconds = await self._counters.run(
            _HIT,
            [self._counters.key(f"rate:{rule.name}", key)],
            [window_seconds * 1_000_000, rule.rate.amount, secrets.token_hex(8)],
        )
        reset_seconds = min(max(reset_microseconds / 1e6, 0.0), float(window_seconds))
        return Decision(rule, bool(allowed), remaining, reset_seconds)

    async def spend(self, rule: Rule, key: str, amount: int) -> Decision:
        """See `RateLimiter.spend`."""
        window_microseconds = rule.rate.window_seconds * 1_000_000
        now_microseconds, spent = await self._counters.run(
            _SPEND,
            [self._counters.key(f"spent:{rule.name}", key)],
            [window_microseconds, PARTS, rule.rate.amount, amount],
        )
        numbers = [int(one) for one in spent]
        parts = dict(zip(numbers[::2], numbers[1::2], strict=True))
        return spending(rule, parts, amount, now_seconds=now_microseconds / 1e6)

    async def check(self) -> None:
        """
        Ping Redis.

        Raises:
            LimiterUnavailableError: Redis does not answer within the deadline.
        """
        await self._counters.ping()


class RedisLoginThrottle:
    """Failed logins and known devices in Redis; each key expires."""

    def __init__(self, counters: "_Counters", rules: LoginRules) -> None:
        self._counters = counters
        self._rules = rules

    async def admit(self, attempt: LoginAttempt) -> float:
        """See `LoginThrottle.admit`."""
        keys = list[str]()
        numbers = list[str | float]()
        for key, backoff in attempt.guards(self._rules, is_known=False):
            keys += [self._counters.key("failures", key), self._counters.key("closed", key)]
            numbers += _in_milliseconds(backoff)
        known = self._counters.key("known", attempt.device_key)
        return float(await self._counters.run(_ADMIT, keys, [known, *numbers])) / 1000

    async def failed(self, attempt: LoginAttempt) -> None:
        """See `LoginThrottle.failed`."""
        async with self._counters.pipeline() as pipeline:
            for key in (attempt.device_key, attempt.account_key, attempt.address_key):
                hashed = self._counters.key("failures", key)
                pipeline.incr(hashed)
                pipeline.expire(hashed, self._rules.memory_seconds)

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """See `LoginThrottle.succeeded`."""
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
    """A Redis client with a deadline; all its errors become `LimiterUnavailableError`."""

    def __init__(
        self, client: redis.asyncio.Redis, *, timeout_seconds: float, key_prefix: str
    ) -> None:
        self._client = client
        self._timeout_seconds = timeout_seconds
        self._key_prefix = key_prefix
        self._scripts: dict[str, Any] = {}

    def key(self, kind: str, key: str) -> str:
        """Return the Redis key of *key*, which is hashed."""
        return f"{self._key_prefix}:{kind}:{hashlib.sha256(key.encode()).hexdigest()}"

    # ANN401: what Lua returns
    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401
        """Run *script* by its hash (EVALSHA), and return the result."""
        async with self._deadline():
            if script not in self._scripts:
                self._scripts[script] = self._client.register_script(script)
            return await self._scripts[script](keys=keys, args=arguments)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Any]:
        """Yield a pipeline, whose commands are sent together at the end of the context."""
        async with self._deadline(), self._client.pipeline(transaction=True) as pipeline:
            yield pipeline
            await pipeline.execute()

    async def ping(self) -> None:
        """Ping Redis."""
        async with self._deadline():
            await self._client.ping()

    @asynccontextmanager
    async def _deadline(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except (redis.RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailableError from error


class _TrustingConnection(redis.asyncio.SSLConnection):
    """A connection with a given context; the library's own one trusts the public roots, too."""

    # ANN401: the library's options
    def __init__(self, *, tls_context: ssl.SSLContext, **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self.ssl_context.context = tls_context


@asynccontextmanager
async def open_redis(
    url: str,
    rules: LoginRules,
    *,
    timeout_seconds: float,
    key_prefix: str = KEY_PREFIX,
    tls: TlsMaterial = NO_TLS_MATERIAL,
) -> AsyncIterator[tuple[RedisLimiter, RedisLoginThrottle]]:
    """
    Open a rate limiter and a login throttle at a `redis://` or `rediss://` address.

    The first call connects.

    Raises:
        ValueError: the address is invalid, or *tls* is unusable; the message contains neither.
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
        message = "must be an address such as rediss://user:password@host:port/0"
        raise ValueError(message) from None
    if tls.ca_bundle is not None and pool.connection_class is redis.asyncio.SSLConnection:
        pool.connection_class = _TrustingConnection
        pool.connection_kwargs["tls_context"] = tls_context(tls)
    client = redis.asyncio.Redis(connection_pool=pool)
    try:
        counters = _Counters(client, timeout_seconds=timeout_seconds, key_prefix=key_prefix)
        yield RedisLimiter(counters), RedisLoginThrottle(counters, rules)
    finally:
        await client.aclose()
        await pool.aclose()
