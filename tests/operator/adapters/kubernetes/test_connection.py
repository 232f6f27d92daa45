import asyncio
from pathlib import Path

import aiohttp

from healthingest_operator.adapters.kubernetes.connection import Connection
from support.deadlines import HANG_SECONDS
from support.servers.loopback import tcp_server
from support.servers.tls import untrusted_tls


async def _endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A watch of which no event comes."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    await asyncio.Event().wait()


async def test_a_watch_that_is_left_ends_its_connection(tmp_path: Path) -> None:
    """At once: a TLS shutdown would wait for the server's answer."""
    patience = aiohttp.ClientTimeout(total=HANG_SECONDS)
    async with (
        tcp_server(_endless) as inner,
        untrusted_tls(inner, tmp_path) as port,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False)) as session,
    ):
        connection = Connection(f"https://127.0.0.1:{port}", session)
        async with connection.request("GET", "/", timeout=patience) as answer:
            assert answer.connection is not None
            assert answer.connection.transport is not None
            socket = answer.connection.transport.get_extra_info("socket")
        await asyncio.sleep(0)
        assert socket.fileno() == -1
