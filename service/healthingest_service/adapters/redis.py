"""
Rate limits that are counted in Redis, shared by all processes.

Each decision is one script, so one round trip. Scripts use the clock of Redis, since the clocks of
processes may differ or be set back. Keys are hashed: Redis stores no e-mail or client address.
"""

import asyncio
import hashlib
import secrets
import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import redis.asyncio

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial, tls_context
from healthingest_service.adapters.redis_scripts import RedisScripts
from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.throttling import (
    PARTS,
    Backoff,
    Charge,
    Decision,
    LoginAttempt,
    LoginRules,
    Unit,
    spending,
)

KEY_PREFIX: Final = "healthingest"
_MAX_CONNECTIONS: Final = 32

_COUNT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local results = {}

local function add(allowed, number, more)
  results[#results + 1] = allowed and 1 or 0
  results[#results + 1] = number
  results[#results + 1] = more
end

local function hit(key, window, limit, id)
  redis.call('ZREMRANGEBYSCORE', key, '-inf', now - window)
  redis.call('ZREMRANGEBYSCORE', key, '(' .. string.format('%.0f', now), '+inf')
  local count = redis.call('ZCARD', key)
  local allowed = count < limit
  if allowed then
    redis.call('ZADD', key, now, id)
    redis.call('PEXPIRE', key, math.ceil(window / 1000))
    count = count + 1
  end
  local oldest = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  add(allowed, limit - count, math.floor(oldest[2] + window - now))
  return allowed
end

local function spend(key, window, limit, amount, parts)
  local current, used, spent = math.floor(now / (window / parts)), 0, {}
  local found = redis.call('HGETALL', key)
  for n = 1, #found, 2 do
    local part = tonumber(found[n])
    if part < current - parts or part > current then
      redis.call('HDEL', key, found[n])
    else
      used = used + tonumber(found[n + 1])
      spent[#spent + 1] = found[n]
      spent[#spent + 1] = found[n + 1]
    end
  end
  local allowed = limit - used >= math.max(tonumber(amount), 1)
  if allowed and tonumber(amount) > 0 then
    redis.call('HINCRBY', key, string.format('%.0f', current), amount)
    redis.call('PEXPIRE', key, math.ceil(window * (parts + 1) / parts / 1000))
  end
  add(allowed, now, spent)
  return allowed
end

for n = 1, #KEYS do
  local kind, window, limit, amount = unpack(ARGV, 4 * n - 2, 4 * n + 1)
  local allowed
  window, limit = tonumber(window), tonumber(limit)
  if kind == 'hit' then
    allowed = hit(KEYS[n], window, limit, amount)
  else
    allowed = spend(KEYS[n], window, limit, amount, tonumber(ARGV[1]))
  end
  if not allowed then break end
end
return results
"""
"""
`RateLimiter.count`. The arguments are the number of parts of a window, and four for each key: the
kind, the window in microseconds, the limit, and the amount of bytes or the id of the hit.

The result is one list, which is read faster than a list of lists, with three values for each key
that was decided: whether it was allowed, and for hits the remaining number and the microseconds
until the oldest one leaves the window; for bytes the time in microseconds, and what was spent
before, parts and amounts in turn.

Hits are a sorted set with the time of each in microseconds. Bytes are a hash with the amount of
each part of the window. Amounts are below 2^53, so Lua's numbers are exact.

Hits and parts in the future are removed; they occur after the clock of Redis was set back.
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

    async def count(self, *charges: Charge) -> Sequence[Decision]:
        """See `RateLimiter.count`."""
        keys, arguments = list[str](), list[str | int]([PARTS])
        for charge in charges:
            rule = charge.rule
            is_bytes = rule.unit is Unit.BYTES
            kind = "spent" if is_bytes else "rate"
            keys.append(self._counters.key(f"{kind}:{rule.name}", charge.key))
            arguments += ["spend" if is_bytes else "hit", rule.rate.window_seconds * 1_000_000]
            arguments += [rule.rate.amount, charge.amount if is_bytes else secrets.token_hex(8)]
        results = await self._counters.run(_COUNT, keys, arguments)
        decided = zip(charges, results[::3], results[1::3], results[2::3], strict=False)
        return [_decision(*one) for one in decided]

    async def check(self) -> None:
        """
        Ping Redis.

        Raises:
            LimiterUnavailableError: Redis does not answer within the deadline.
        """
        await self._counters.ping()


# ANN401: what Lua returns
def _decision(charge: Charge, allowed: int, number: int, more: Any) -> Decision:  # noqa: ANN401
    """Return the decision about *charge*; the values are those of `_COUNT`."""
    rule = charge.rule
    if rule.unit is Unit.BYTES:
        numbers = [int(one) for one in more]
        parts = dict(zip(numbers[::2], numbers[1::2], strict=True))
        return spending(rule, parts, charge.amount, now_seconds=number / 1e6)
    reset_seconds = min(max(more / 1e6, 0.0), float(rule.rate.window_seconds))
    return Decision(rule, bool(allowed), number, reset_seconds)


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
        self,
        client: redis.asyncio.Redis,
        scripts: RedisScripts,
        *,
        timeout_seconds: float,
        key_prefix: str,
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._timeout_seconds = timeout_seconds
        self._key_prefix = key_prefix

    def key(self, kind: str, key: str) -> str:
        """Return the Redis key of *key*, which is hashed."""
        return f"{self._key_prefix}:{kind}:{hashlib.sha256(key.encode()).hexdigest()}"

    # ANN401: what Lua returns
    async def run(self, script: str, keys: list[str], arguments: list[Any]) -> Any:  # noqa: ANN401
        """Run *script*, and return the result."""
        async with self._deadline():
            return await self._scripts.run(script, keys, arguments)

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
            socket_timeout=None,  # `_Counters` has the deadline; the library's costs a task a call
            socket_connect_timeout=timeout_seconds,
        )
    except ValueError:
        message = "must be an address such as rediss://user:password@host:port/0"
        raise ValueError(message) from None
    if tls.ca_bundle is not None and pool.connection_class is redis.asyncio.SSLConnection:
        pool.connection_class = _TrustingConnection
        pool.connection_kwargs["tls_context"] = tls_context(tls)
    client = redis.asyncio.Redis(connection_pool=pool)
    scripts = RedisScripts(pool, max_connections=_MAX_CONNECTIONS)
    try:
        counters = _Counters(
            client, scripts, timeout_seconds=timeout_seconds, key_prefix=key_prefix
        )
        yield RedisLimiter(counters), RedisLoginThrottle(counters, rules)
    finally:
        await scripts.aclose()
        await client.aclose()
        await pool.aclose()
