"""Counts in Redis, shared by all processes."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import redis.asyncio
from limits import RateLimitItemPerSecond
from limits.aio.storage import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter

from healthingest_service.identity.errors import LimiterUnavailableError
from healthingest_service.identity.throttling import Decision, Rule

KEY_PREFIX: Final = "healthingest"
_MAX_CONNECTIONS: Final = 32


class RedisLimiter:
    """A moving window kept by a script in Redis. Keys are hashed: no e-mail address or client address stands there."""

    def __init__(
        self, limiter: MovingWindowRateLimiter, client: redis.asyncio.Redis, *, timeout_seconds: float
    ) -> None:
        self._limiter = limiter
        self._client = client
        self._timeout_seconds = timeout_seconds

    async def hit(self, rule: Rule, key: str) -> Decision:
        """As the port says."""
        item = RateLimitItemPerSecond(rule.rate.amount, rule.rate.window_seconds, namespace=rule.name)
        hashed = hashlib.sha256(key.encode()).hexdigest()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                allowed = await self._limiter.hit(item, hashed)
                window = await self._limiter.get_window_stats(item, hashed)
        except (redis.RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailableError from error
        return Decision(rule, allowed, max(0, window.remaining), max(0.0, window.reset_time - time.time()))

    async def check(self) -> None:
        """
        Whether Redis answers.

        Raises:
            LimiterUnavailableError: it does not.
        """
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._client.ping()
        except (redis.RedisError, OSError, TimeoutError) as error:
            raise LimiterUnavailableError from error


@asynccontextmanager
async def open_redis_limiter(
    url: str, *, timeout_seconds: float, key_prefix: str = KEY_PREFIX
) -> AsyncIterator[RedisLimiter]:
    """
    A limiter over `redis://` or `rediss://`; nothing is connected before the first hit.

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
        storage = RedisStorage(url, implementation="redispy", key_prefix=key_prefix, connection_pool=pool)  # type: ignore[arg-type] # documented, but left out of the annotation
        yield RedisLimiter(MovingWindowRateLimiter(storage), client, timeout_seconds=timeout_seconds)
    finally:
        await client.aclose()
        await pool.aclose()
