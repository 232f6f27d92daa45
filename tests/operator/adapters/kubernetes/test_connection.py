import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
import yaml
from aiohttp import web

from healthingest_operator.adapters.kubernetes.connection import (
    MOST_CONNECTIONS,
    Connection,
    connection,
)
from support.deadlines import HANG_SECONDS
from support.servers.loopback import tcp_server
from support.servers.process import free_port
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


async def test_watches_leave_connections_for_requests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many namespaces are watched."""
    number = 4 * MOST_CONNECTIONS
    begun = 0
    all_begun = asyncio.Event()
    end = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        nonlocal begun
        if request.query.get("watch") == "true":
            begun += 1
            if begun == number:
                all_begun.set()
            await end.wait()
        return web.json_response({})

    application = web.Application()
    application.router.add_get("/{path:.*}", answer)
    patience = aiohttp.ClientTimeout(total=HANG_SECONDS)
    async with _served(application) as port:
        _kubeconfig(tmp_path / "kubeconfig", port)
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
        monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
        async with connection() as opened, asyncio.timeout(HANG_SECONDS):

            async def watch() -> None:
                query = [("watch", "true")]
                async with opened.request("GET", "/", timeout=patience, query=query, watch=True):
                    pass

            watching = [asyncio.create_task(watch()) for _ in range(number)]
            await all_begun.wait()
            async with opened.request("GET", "/", timeout=patience) as found:
                assert found.status == 200
            end.set()
            await asyncio.gather(*watching)


@asynccontextmanager
async def _served(application: web.Application) -> AsyncIterator[int]:
    """Serve an application; yields its port."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    port = free_port()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield port
    finally:
        await runner.cleanup()


def _kubeconfig(path: Path, port: int) -> None:
    config = {
        "clusters": [{"name": "a", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "b", "user": {}}],
        "contexts": [{"name": "c", "context": {"cluster": "a", "user": "b"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(config))
