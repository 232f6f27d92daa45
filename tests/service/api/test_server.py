import asyncio
import json
import socket
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from healthingest_service.api.server import Listen, bind, serve
from healthingest_service.main.api import connection_rules
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import HttpSettings
from support.deadlines import HANG_SECONDS
from support.servers.process import has_ipv6


async def _hello(_request: Request) -> Response:
    return PlainTextResponse("hello")


@pytest.fixture(name="port")
async def _port() -> AsyncIterator[int]:
    """A server whose patience with heads is a tenth of a second."""
    rules = connection_rules(Settings(http=HttpSettings(head_seconds=0.1)))
    listen = Listen("127.0.0.1", 0, 1)
    stop = asyncio.Event()
    listening = bind(listen)
    app = Starlette(routes=[Route("/", _hello)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listening, listen, stop, rules=rules))
        yield listening.getsockname()[1]
        stop.set()


async def _talk(port: int, said: bytes, host: str = "127.0.0.1") -> bytes:
    """All that comes back until the server closes."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(said)
    async with asyncio.timeout(HANG_SECONDS):
        answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


@pytest.mark.parametrize("said", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
async def test_a_head_that_does_not_come_ends_the_connection(port: int, said: bytes) -> None:
    """Nothing, half a line, half a head: closed without an answer."""
    assert await _talk(port, said) == b""


async def test_a_second_request_has_the_same_deadline(port: int) -> None:
    """After an answer the next head may come late, but once begun it must come."""
    answer = await _talk(port, b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK")
    assert answer.endswith(b"hello")


async def test_what_is_no_http_gets_a_problem(port: int) -> None:
    """RFC 9457 even there; nothing of what was said comes back."""
    head, _, body = (await _talk(port, b"canary \x00\r\n\r\n")).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-type: application/problem+json" in head
    assert json.loads(body)["type"] == "https://healthingest.dev/problems/bad-request"
    assert b"canary" not in body


async def test_says_nothing_about_its_make(port: int) -> None:
    """No `Server` header."""
    answer = await _talk(port, b"GET / HTTP/1.0\r\n\r\n")
    assert b"server:" not in answer.lower()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_without_a_host_both_ip_families_are_served(host: str) -> None:
    """Clients of IPv4 and of IPv6; a cluster may have one family or both."""
    if ":" in host and not has_ipv6():
        pytest.skip("this machine has no IPv6")
    rules = connection_rules(Settings(http=HttpSettings(head_seconds=0.1)))
    listen, stop = Listen("", 0, 1), asyncio.Event()
    listening = bind(listen)
    app = Starlette(routes=[Route("/", _hello)])
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(serve(app, listening, listen, stop, rules=rules))
        port = listening.getsockname()[1]
        answer = await _talk(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", host)
        stop.set()
    assert answer.endswith(b"hello")


async def test_a_machine_without_ipv6_is_served_by_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may have no IPv6 at all."""
    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    with bind(Listen("", 0, 1)) as listening:
        assert listening.family == socket.AF_INET


def test_a_port_in_use_is_an_error() -> None:
    """It is not taken for a missing family."""
    with bind(Listen("", 0, 1)) as taken, pytest.raises(OSError, match="in use"):
        bind(Listen("", taken.getsockname()[1], 1))
