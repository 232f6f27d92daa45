"""The object store behind a forward proxy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from healthingest_service.adapters.s3.client import S3Access, call_once, open_connection
from healthingest_service.adapters.s3.put import ObjectPut, ObjectSender
from support.deadlines import HANG_SECONDS
from support.uploads import sha256

HOST = "s3.proxy-test.example"


@asynccontextmanager
async def proxy(requests: list[str]) -> AsyncIterator[int]:
    """Serve a proxy that answers every request by 200, and yield its port."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        requests.append(head.partition(b"\r\n")[0].decode())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


PUT = ObjectPut(
    key="raw/key",
    size_bytes=0,
    sha256=sha256(b""),
    content_type="application/avro",
    metadata={},
    creating={},
)


async def use(endpoint: str) -> None:
    """Send a HEAD and a PUT."""
    access = S3Access(
        endpoint=endpoint,
        region="us-east-1",
        bucket="data",
        access_key_id="a",
        secret_access_key="b",
        timeout_seconds=5,
    )
    async with open_connection(access) as connection, asyncio.timeout(HANG_SECONDS):
        await call_once(lambda: connection.client.head_bucket(Bucket="data"))
        await call_once(lambda: ObjectSender(connection, "data").send(PUT, b""))


async def test_the_store_is_reached_through_the_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As `spec.proxy` writes it; the proxy gets the whole address."""
    requests: list[str] = []
    async with proxy(requests) as port:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "localhost,.svc")
        await use(f"http://{HOST}")
    assert requests == [
        f"HEAD http://{HOST}/data HTTP/1.1",
        f"PUT http://{HOST}/data/raw/key HTTP/1.1",
    ]


async def test_a_host_of_no_proxy_is_reached_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing listens at the proxy's port."""
    requests: list[str] = []
    async with proxy(requests) as port:
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        await use(f"http://127.0.0.1:{port}")
    assert requests == ["HEAD /data HTTP/1.1", "PUT /data/raw/key HTTP/1.1"]
