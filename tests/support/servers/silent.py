"""A server that accepts connections and never answers, to test deadlines."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from support.servers.loopback import tcp_server


@asynccontextmanager
async def silent_server() -> AsyncIterator[int]:
    """Its port."""

    async def serve(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with tcp_server(serve) as port:
        yield port
