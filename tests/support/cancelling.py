"""
The client goes away, or the server stops.

Cancellation at every single point where a coroutine waits.
"""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


async def is_cancelled_at(wait: int, work: Coroutine[Any, Any, Any]) -> bool:
    """
    Run *work*, and cancel it the moment it waits for the *wait*-th time, counted from 0.

    False when it ended before: there is no such wait, and every one before it has been tried. What
    *work* raises is dropped: cancelled, it may end as it likes.
    """
    waits = 0

    @types.coroutine
    def stepped() -> Generator[Any, Any, None]:
        nonlocal waits
        inner = work.__await__()
        try:
            waited_for = next(inner)
            while True:
                if waits == wait and (task := asyncio.current_task()):
                    task.cancel()
                waits += 1
                try:
                    answer = yield waited_for
                except BaseException as error:  # noqa: BLE001 - handed on
                    waited_for = inner.throw(error)
                else:
                    waited_for = inner.send(answer)
        except StopIteration:
            return

    async def as_coroutine() -> None:
        await stepped()

    await asyncio.gather(asyncio.ensure_future(as_coroutine()), return_exceptions=True)
    return waits > wait
