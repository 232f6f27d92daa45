"""
Password hashing with Argon2id, in a few threads of low priority and with a bounded queue.

Hashing needs memory and processor time. Threads keep the event loop free, the bound limits the
memory, and the low priority keeps uploads fast.
"""

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final, TypeVar

from fastapi_users.password import PasswordHelper
from pwdlib import PasswordHash
from pwdlib.exceptions import UnknownHashError
from pwdlib.hashers.argon2 import Argon2Hasher

from healthingest_service.identity.errors import PasswordQueueFullError
from healthingest_service.identity.registration import normal_password

MEMORY_KIB: Final = 19_456
TIME_COST: Final = 2
"""Argon2id with 19 MiB, 2 passes, 1 lane: the minimum of OWASP's Password Storage Cheat Sheet."""
_NICENESS: Final = 15
"""On a busy processor, about 1/20 of the share of a normal thread (sched(7))."""

Answer = TypeVar("Answer")


class PasswordHasher:
    """Hashes and verifies passwords in a thread of the pool, for the holder of one slot."""

    def __init__(self, executor: ThreadPoolExecutor, helper: PasswordHelper) -> None:
        self._executor = executor
        self._helper = helper
        self.running: Future[Any] | None = None

    async def hash(self, password: str) -> str:
        """Return the password hash to store."""
        return await self._in_thread(lambda: self._helper.hash(normal_password(password)))

    async def verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Return whether *password* matches, and a new hash if its parameters are outdated."""
        return await self._in_thread(lambda: self._verify(normal_password(password), stored))

    def _verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        try:
            return self._helper.verify_and_update(password, stored)
        except UnknownHashError:
            return False, None

    async def _in_thread(self, work: Callable[[], Answer]) -> Answer:
        future = self.running = self._executor.submit(work)
        return await asyncio.wrap_future(future)


class PasswordPool:
    """A pool with *queue_limit* slots; the holder of a slot may hash or verify a password."""

    def __init__(self, executor: ThreadPoolExecutor, *, queue_limit: int) -> None:
        self._executor = executor
        self._queue_limit = queue_limit
        self._taken = 0
        hasher = Argon2Hasher(time_cost=TIME_COST, memory_cost=MEMORY_KIB, parallelism=1)
        self._helper = PasswordHelper(PasswordHash((hasher,)))

    @property
    def is_full(self) -> bool:
        """Whether all slots are taken."""
        return self._taken >= self._queue_limit

    @contextmanager
    def slot(self) -> Iterator[PasswordHasher]:
        """
        Hold a slot while the context is open.

        Take the slot before any other work for a login, so that a flood of logins is cheap.

        Raises:
            PasswordQueueFullError: all slots are taken.
        """
        if self.is_full:
            raise PasswordQueueFullError
        self._taken += 1
        hasher = PasswordHasher(self._executor, self._helper)
        try:
            yield hasher
        finally:
            if hasher.running is None or hasher.running.done():
                self._taken -= 1
            else:  # the caller was cancelled: free the slot when the thread has finished
                loop = asyncio.get_running_loop()
                hasher.running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free))

    def _free(self) -> None:
        self._taken -= 1


def _lower_priority() -> None:
    """Lower the priority of the calling thread; on Linux it is per thread (setpriority(2))."""
    with suppress(OSError):  # other platforms: hashing has the same priority as uploads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


@asynccontextmanager
async def open_password_pool(*, threads: int, queue_limit: int) -> AsyncIterator[PasswordPool]:
    """Open a pool; its threads end with the context."""
    executor = ThreadPoolExecutor(
        threads, thread_name_prefix="password", initializer=_lower_priority
    )
    try:
        yield PasswordPool(executor, queue_limit=queue_limit)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
