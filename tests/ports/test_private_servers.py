"""The servers of other tests are real, private and empty."""

import asyncio
import socket
import ssl
import urllib.error
from pathlib import Path

import pytest

from support.deadlines import HANG_SECONDS
from support.servers.apiserver import ApiServer
from support.servers.loopback import tcp_server
from support.servers.postgres import PostgresServer
from support.servers.rabbitmq import RabbitMQServer
from support.servers.tls import untrusted_tls
from support.servers.versitygw import S3Server


def test_each_test_gets_an_empty_database(postgres: PostgresServer, postgres_url: str) -> None:
    """Two databases of one server have nothing in common."""
    with postgres.database() as other:
        assert other != postgres_url


def test_redis_answers(redis_url: str) -> None:
    """The Redis of `redis_url` answers."""
    host, port = redis_url.removeprefix("redis://").removesuffix("/0").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as client:
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"


def test_each_test_gets_a_virtual_host(rabbitmq: RabbitMQServer) -> None:
    """A new virtual host has no queue."""
    assert rabbitmq.call("GET", f"/api/queues/{rabbitmq.virtual_host}") == []


def test_the_s3_server_checks_who_asks(s3_server: S3Server) -> None:
    """A wrong secret is refused, so accepted requests were signed correctly."""
    stranger = S3Server(s3_server.port, secret_access_key="wrong")
    with pytest.raises(urllib.error.HTTPError) as refused:
        stranger.new_bucket()
    refused.value.close()
    assert refused.value.code == 403


def test_the_apiserver_is_ready(apiserver: ApiServer) -> None:
    """The control plane has a kubeconfig that leads to it."""
    assert apiserver.url in apiserver.kubeconfig.read_text()


async def test_tls_in_front_of_a_server_leaves_no_connection_to_it(tmp_path: Path) -> None:
    """It closes its own connection when it ends, while client and server still hold theirs."""
    arrived: asyncio.Queue[asyncio.StreamReader] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await arrived.put(reader)
        await asyncio.Event().wait()

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    async with tcp_server(serve) as inner:
        async with untrusted_tls(inner, tmp_path) as outer:
            _, client = await asyncio.open_connection("127.0.0.1", outer, ssl=context)
            reader = await arrived.get()
        async with asyncio.timeout(HANG_SECONDS):
            assert await reader.read() == b""
        client.transport.abort()
