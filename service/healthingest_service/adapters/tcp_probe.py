"""A TCP probe of the broker for the API, which has no credential for it."""

import asyncio
from contextlib import suppress


async def probe(host: str, port: int, *, timeout_seconds: float) -> None:
    """
    Connect to *host*:*port*, and close the connection.

    Raises:
        OSError: no connection within the deadline.
    """
    async with asyncio.timeout(timeout_seconds):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
