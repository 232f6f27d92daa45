"""Waiting for something to happen, with a deadline."""

import asyncio


async def wait_for_any(*events: asyncio.Event, seconds: float) -> None:
    """Return when one of *events* is set, after *seconds* at the latest."""
    if seconds <= 0 or any(event.is_set() for event in events):
        return
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
