"""Argon2id in a few threads: hashing costs memory and a processor, so it neither blocks the loop nor piles up."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from healthingest_service.identity.errors import PasswordQueueFullError

MEMORY_KIB: Final = 19_456
TIME_COST: Final = 2
"""Argon2id with 19 MiB, 2 passes, 1 lane: the minimum of OWASP's Password Storage Cheat Sheet."""

Answer = TypeVar("Answer")


class PasswordPool:
    """Hashes and verifies; at most `queue_limit` calls wait or run at one moment."""

    def __init__(self, executor: ThreadPoolExecutor, *, queue_limit: int) -> None:
        self._executor = executor
        self._queue_limit = queue_limit
        self._pending = 0
        hasher = Argon2Hasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)
        self._helper = PasswordHelper(PasswordHash((hasher,)))

    async def hash(self, password: str) -> str:
        """
        The text to store.

        Raises:
            PasswordQueueFullError: too many wait already.
        """
        return await self._in_thread(lambda: self._helper.hash(password))

    async def verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        """
        Whether *password* is the one, and a new text to store when the parameters have changed.

        Raises:
            PasswordQueueFullError: too many wait already.
        """
        return await self._in_thread(lambda: self._verify(password, stored))

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._helper.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        if self._pending >= self._queue_limit:
            raise PasswordQueueFullError
        future = self._executor.submit(work)
        self._pending += 1
        loop = asyncio.get_running_loop()
        # Counted until the thread is done, not until the caller gives up: a caller that leaves frees no thread.
        future.add_done_callback(lambda _: loop.call_soon_threadsafe(self._done))
        return await asyncio.wrap_future(future)

    def _done(self) -> None:
        self._pending -= 1


@asynccontextmanager
async def open_password_pool(*, threads: int, queue_limit: int) -> AsyncIterator[PasswordPool]:
    """A pool whose threads end with the context."""
    executor = ThreadPoolExecutor(threads, thread_name_prefix="password")
    try:
        yield PasswordPool(executor, queue_limit=queue_limit)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
