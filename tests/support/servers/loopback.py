"""TCP servers in the test process itself; they leave no connection open when they end."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[object, object, None]]


@asynccontextmanager
async def tcp_server(serve: Serve, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """
    Run *serve* for each connection to the port that this yields, which is one of loopback.

    At the end every connection is cancelled, reset and waited for. What a test leaves open is
    otherwise found by the garbage collector in some later test, which then fails in its place.
    """
    tasks: set[asyncio.Task[None]] = set()
    writers: set[asyncio.StreamWriter] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await serve(reader, writer)
            writer.close()
            await asyncio.shield(writer.wait_closed())  # cancelled, it would be so for everybody
        except OSError:
            await reset(writer)
        writers.discard(writer)

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        task = asyncio.create_task(talk(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await accepted()
        waiting = tuple(tasks)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        for writer in writers:
            await reset(writer)


async def accepted() -> None:
    """
    Return once connections that asyncio is accepting have reached their protocol.

    It takes a task, a transport and a callback, one turn of the loop each. A server that closes
    its connections before that misses them.
    """
    for _ in range(5):
        await asyncio.sleep(0)


async def reset(writer: asyncio.StreamWriter) -> None:
    """Return once the connection of *writer* is gone; what was not sent is dropped."""
    writer.transport.abort()
    await asyncio.sleep(0)  # its last callback runs before this returns
