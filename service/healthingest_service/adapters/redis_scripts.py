"""
Runs Lua scripts in Redis, each call with one round trip.

The client and the pool of the library need a part of the processor time of a call for locks,
retries, deadlines and metrics of their own (`make bench-limiter`). This module uses connections of
the library without them; the caller sets the deadline.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import redis.asyncio
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import NoScriptError, ResponseError


class RedisScripts:
    """
    Scripts, on at most *max_connections* connections of the kind that *pool* makes.

    A connection is used by one call at a time. After an error, or a call that was cancelled, it is
    closed, because a later reply would be taken for that of another call.
    """

    def __init__(self, pool: redis.asyncio.ConnectionPool, *, max_connections: int) -> None:
        self._pool = pool
        self._client = redis.asyncio.Redis(connection_pool=pool)
        self._hashes: dict[str, str] = {}
        self._idle: list[AbstractConnection] = []
        self._slots = asyncio.Semaphore(max_connections)

    # ANN401: what Lua returns
    async def run(
        self,
        script: str,
        keys: Sequence[str],
        arguments: Sequence[Any],
    ) -> Any:  # noqa: ANN401
        """
        Run *script* by its hash, and return its result.

        Redis gets the text only if it does not know the hash, as after a restart.

        Raises:
            redis.RedisError, OSError: Redis did not run it, or it is unclear whether it did.
        """
        if script not in self._hashes:
            self._hashes[script] = self._client.register_script(script).sha
        given = [len(keys), *keys, *arguments]
        async with self._slots, self._connection() as connection:
            try:
                return await _reply(connection, "EVALSHA", self._hashes[script], *given)
            except NoScriptError:
                return await _reply(connection, "EVAL", script, *given)

    async def aclose(self) -> None:
        """Close all connections."""
        while self._idle:
            await self._idle.pop().disconnect(nowait=True)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[AbstractConnection]:
        """Yield a connection, and keep it if a reply has come for each command."""
        connection = self._idle.pop() if self._idle else self._new()
        try:
            if connection.is_connected and await connection.can_read():
                await connection.disconnect(nowait=True)  # Redis has closed it
            yield connection
        except ResponseError:
            self._idle.append(connection)
            raise
        except BaseException:
            await connection.disconnect(nowait=True)
            raise
        self._idle.append(connection)

    def _new(self) -> AbstractConnection:
        made: AbstractConnection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        return made


# ANN401: what Lua returns
async def _reply(connection: AbstractConnection, *command: Any) -> Any:  # noqa: ANN401
    # connects if necessary
    await connection.send_packed_command(connection.pack_command(*command), check_health=False)
    return await connection.read_response(timeout=math.inf)  # the caller has a deadline
