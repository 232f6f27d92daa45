"""The connections of the S3 client."""

import asyncio

from healthingest_service.adapters.s3.client import S3Access, call_once, open_client
from support.deadlines import HANG_SECONDS
from support.servers.loopback import tcp_server

CONCURRENT = 64


async def test_concurrent_requests_do_not_wait_for_each_other() -> None:
    """A server that answers none before all have arrived; a smaller pool would block for ever."""
    arrived = 0
    all_arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        await reader.readuntil(b"\r\n\r\n")
        arrived += 1
        if arrived == CONCURRENT:
            all_arrived.set()
        await all_arrived.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()

    async with tcp_server(serve) as port:
        access = S3Access(
            endpoint=f"http://127.0.0.1:{port}",
            region="us-east-1",
            bucket="data",
            access_key_id="a",
            secret_access_key="b",
            timeout_seconds=HANG_SECONDS,
        )
        async with open_client(access) as client, asyncio.timeout(HANG_SECONDS):
            await asyncio.gather(
                *(call_once(lambda: client.head_bucket(Bucket="data")) for _ in range(CONCURRENT))
            )
    assert arrived == CONCURRENT
