"""
Redis through redis-py: a connection check.

The library is imported only if a HealthIngest names a cache.
"""

import ssl
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from typing_extensions import override

from healthingest_contract.tls import NO_TLS_MATERIAL, TlsMaterial
from healthingest_operator.adapters.connection_errors import answer_to, connection_error, failure_of
from healthingest_operator.adapters.tls import context_of
from healthingest_operator.reconcile.errors import DependencyError
from healthingest_operator.reconcile.ports import Cache
from healthingest_operator.reconcile.ttl_cache import TtlCache
from healthingest_operator.status import outside_causes as causes
from healthingest_operator.status.connection_causes import ConnectionFailure

if TYPE_CHECKING:
    from redis.asyncio import SSLConnection


class RedisCache(Cache):
    """Implements the port `Cache`."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._checked = TtlCache()

    @override
    async def check(self, url: str, tls: TlsMaterial = NO_TLS_MATERIAL) -> None:
        await self._checked.get(
            (url, tls.fingerprint), time.monotonic(), lambda: self._check(url, tls)
        )

    async def _check(self, url: str, tls: TlsMaterial) -> None:
        from redis import exceptions  # noqa: PLC0415 - see the module's docstring
        from redis.asyncio import Redis, SSLConnection  # noqa: PLC0415
        from redis.asyncio.retry import Retry  # noqa: PLC0415
        from redis.backoff import NoBackoff  # noqa: PLC0415

        parts = urlsplit(url)
        where = f"Redis at {parts.netloc.rpartition('@')[2]}"
        client = Redis.from_url(
            parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl(),
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
            socket_timeout=self._timeout_seconds,
            socket_connect_timeout=self._timeout_seconds,
            retry=Retry(NoBackoff(), 0),
        )
        pool = client.connection_pool
        if tls.ca_bundle is not None and pool.connection_class is SSLConnection:
            pool.connection_class = _trusting(context_of(tls))
        try:
            await client.ping()
        except exceptions.AuthenticationError as error:
            raise DependencyError.of(causes.CACHE_LOGIN, where=where) from error
        except exceptions.InvalidResponse as error:
            raise DependencyError.of(causes.NOT_REDIS, where=where) from error
        except (exceptions.ConnectionError, exceptions.TimeoutError, OSError) as error:
            raise await _of_connection(error, where, url) from error
        except exceptions.RedisError as error:
            raise DependencyError.of(causes.CACHE_REFUSES, where=where) from error
        finally:
            await client.aclose()


def _trusting(context: ssl.SSLContext) -> "type[SSLConnection]":
    """Return a class of connections with *context*; the library's trusts the public roots, too."""
    from redis.asyncio import SSLConnection  # noqa: PLC0415 - see the module's docstring

    class _TrustingConnection(SSLConnection):
        def __init__(self, **options: Any) -> None:  # noqa: ANN401 - the library's options
            super().__init__(**options)
            self.ssl_context.context = context

    return _TrustingConnection


async def _of_connection(error: Exception, where: str, url: str) -> DependencyError:
    from redis import exceptions  # noqa: PLC0415 - see the module's docstring

    is_silent = failure_of(error) is ConnectionFailure.SILENT
    if (
        is_silent and urlsplit(url).scheme == "rediss" and await answer_to(url, b"PING\r\n")
    ):  # Redis without TLS waits for the end of a line
        return DependencyError.of(causes.CACHE[ConnectionFailure.NOT_TLS], where=where)
    hung_up = is_silent and isinstance(error, exceptions.ConnectionError)
    return await connection_error(causes.CACHE, where, EOFError() if hung_up else error, url)
