"""The proxy that cuts connections."""

import asyncio
import socket
import struct
from contextlib import closing
from typing import Final
from urllib.parse import urlsplit

from support.cutting_proxy import cutting_proxy
from support.deadlines import HANG_SECONDS
from support.servers.loopback import tcp_server

_RESET: Final = struct.pack("ii", 1, 0)
"""Linger for no time: the connection ends by a reset."""


async def test_a_client_sees_the_reset_of_a_server() -> None:
    """A killed process resets its connections; a client of the proxy must not wait for ever."""

    async def die(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.transport.abort()

    async with (
        tcp_server(die) as port,
        cutting_proxy([("127.0.0.1", port)], cut_bytes=1000, bytes_per_second=1000) as proxy,
        asyncio.timeout(HANG_SECONDS),
    ):
        address = urlsplit(proxy.url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        with closing(writer):
            writer.write(b"a request")
            assert await reader.read() == b""
