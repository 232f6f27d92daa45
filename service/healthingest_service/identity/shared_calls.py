"""Calls that concurrent requests share."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class SharedCalls(Generic[Key, Value]):
    """Runs one call for each key at a time; its result or error is that of all who wait for it."""

    def __init__(self) -> None:
        self._running: dict[Key, asyncio.Future[Value]] = {}

    async def run(self, key: Key, begin: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """Return the result of the running call with *key*, else of the one that *begin* starts."""
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = asyncio.ensure_future(begin())
            running.add_done_callback(lambda done: self._finish(key, done))
        return await asyncio.shield(running)  # a cancelled request must not cancel the others'

    def _finish(self, key: Key, done: "asyncio.Future[Value]") -> None:
        del self._running[key]
        if not done.cancelled():
            done.exception()  # retrieved, also if every request was cancelled
