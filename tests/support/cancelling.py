"""Cancels a coroutine at every point where it waits, as when the client or the server stops."""

import asyncio
import types
from collections.abc import Coroutine, Generator
from typing import Any


async def is_cancelled_at(wait: int, work: Coroutine[Any, Any, Any]) -> bool:
    """
    Run *work*, and cancel it when it waits for the *wait*-th time, counted from 0.

    Returns False if it ended before: then every wait has been tried. An error of *work* is dropped,
    because it may end in any way once it is cancelled.
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
