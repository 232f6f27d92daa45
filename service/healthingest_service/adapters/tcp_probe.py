"""
Whether something listens.

All that the API, which has no credential of the broker, can tell of it.
"""

import asyncio
from contextlib import suppress


async def probe(host: str, port: int, *, timeout_seconds: float) -> None:
    """
    Connect and close.

    Raises:
        OSError: nobody answers within the deadline.
    """
    async with asyncio.timeout(timeout_seconds):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
