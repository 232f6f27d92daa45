"""
Argon2id in a few threads of low priority.

Hashing costs memory and a processor: it must neither block the loop, nor pile up, nor slow down
uploads.
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
"""A twentieth of a normal thread's share of a busy processor, and all of an idle one (sched(7))."""

Answer = TypeVar("Answer")


class PasswordHasher:
    """Hashes and verifies in the pool's threads, for the holder of one slot."""

    def __init__(self, executor: ThreadPoolExecutor, helper: PasswordHelper) -> None:
        self._executor = executor
        self._helper = helper
        self.running: Future[Any] | None = None

    async def hash(self, password: str) -> str:
        """Return the text to store."""
        return await self._in_thread(lambda: self._helper.hash(normal_password(password)))

    async def verify(self, password: str, stored: str) -> tuple[bool, str | None]:
        """Return whether *password* matches, and a new hash when the parameters have changed."""
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
    """At most `queue_limit` slots; the holder of one may hash or verify."""

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
        Hold a slot.

        Take it before anything else is done for a login, so that a flood costs no more than this.

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
            # a caller that leaves frees no thread: its slot is taken until the thread is done
            else:
                loop = asyncio.get_running_loop()
                hasher.running.add_done_callback(lambda _: loop.call_soon_threadsafe(self._free))

    def _free(self) -> None:
        self._taken -= 1


def _lower_priority() -> None:
    """
    Make the calling thread nice.

    On Linux each thread has a niceness of its own (setpriority(2)).
    """
    with suppress(OSError):  # the platform has no such thing: then hashing competes with uploads
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


@asynccontextmanager
async def open_password_pool(*, threads: int, queue_limit: int) -> AsyncIterator[PasswordPool]:
    """A pool whose threads end with the context."""
    executor = ThreadPoolExecutor(
        threads, thread_name_prefix="password", initializer=_lower_priority
    )
    try:
        yield PasswordPool(executor, queue_limit=queue_limit)
    finally:
        await asyncio.to_thread(executor.shutdown, wait=True, cancel_futures=True)
