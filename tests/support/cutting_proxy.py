"""A TCP proxy that cuts connections, in front of one or more servers."""

import asyncio
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from typing import Final

_CHUNK_BYTES: Final = 64 * 1024
_TOO_MANY: Final = b"HTTP/1.1 429 "


@dataclass
class CuttingProxy:
    """
    Passes each connection to the next of *backends*, and cuts it after *cut_bytes* of the client.

    Clients send at most *bytes_per_second*. `sent_bytes` counts what they have sent, and `refusals`
    the answers that told them to wait.
    """

    backends: Sequence[tuple[str, int]]
    cut_bytes: int
    bytes_per_second: float
    url: str = ""
    sent_bytes: int = 0
    cuts: int = 0
    refusals: int = 0
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        """Begin with the first."""
        self._next = cycle(self.backends)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass one connection on."""
        try:
            there, back = await self._backend()
        except ConnectionError:
            writer.close()
            return
        answers = asyncio.create_task(self._answer(there, writer))
        self._tasks.add(answers)
        answers.add_done_callback(self._tasks.discard)
        left = self.cut_bytes
        with suppress(ConnectionError):
            while left and (chunk := await reader.read(min(left, _CHUNK_BYTES))):
                self.sent_bytes += len(chunk)
                left -= len(chunk)
                back.write(chunk)
                await back.drain()
                await asyncio.sleep(len(chunk) / self.bytes_per_second)
        if left:
            with suppress(OSError):
                back.write_eof()  # the client has sent all, or is dead
            await asyncio.wait([answers])
        else:
            self.cuts += 1
        for one in (writer, back):
            one.close()

    async def _backend(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect with the next backend that listens."""
        for _ in self.backends[1:]:
            with suppress(ConnectionError):
                return await asyncio.open_connection(*next(self._next))
        return await asyncio.open_connection(*next(self._next))

    async def _answer(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Pass answers on; the client sees the end of the server, also by a reset."""
        with suppress(ConnectionError):
            while chunk := await source.read(_CHUNK_BYTES):
                self.refusals += chunk.startswith(_TOO_MANY)
                sink.write(chunk)
                await sink.drain()
        sink.close()

    async def close(self) -> None:
        """Wait for what is under way."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def cutting_proxy(
    backends: Sequence[tuple[str, int]], *, cut_bytes: int, bytes_per_second: float
) -> AsyncIterator[CuttingProxy]:
    """Open a proxy on a free port; what it has not read yet, a client has hardly sent."""
    proxy = CuttingProxy(backends, cut_bytes, bytes_per_second)
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK_BYTES)
    listener.bind(("127.0.0.1", 0))
    server = await asyncio.start_server(proxy.serve, sock=listener, limit=_CHUNK_BYTES)
    proxy.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with server:
        try:
            yield proxy
        finally:
            await proxy.close()
