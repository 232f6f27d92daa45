"""What a peer does just as a response is written, by the event loops of asyncio and of uvloop."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from healthingest_service.api.server import Listen, bind, serve
from healthingest_service.main.api import connection_rules
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import HttpSettings
from support.deadlines import HANG_SECONDS
from support.raw_http import request

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
TURNS = range(6)
"""Iterations of the event loop before the response: in one of them the loop reads an event."""
ENDING = b"\r\n\r\nwhole"


@dataclass(kw_only=True)
class Exchange:
    """A client and a server that does *just_before* and answers some *turns* of its loop later."""

    turns: int
    said: bytes = request("GET", "/")
    ends: bool = False
    """Whether the client ends its side at once."""
    ending: bytes = ENDING
    """What the client waits for."""
    just_before: Callable[[], object] = lambda: None
    client: socket.socket = field(default_factory=socket.socket)
    listening: socket.socket = field(default_factory=lambda: bind(Listen("127.0.0.1", 0, 1)))

    def run(self, loop: str) -> bytes:
        """Return what the client gets, until its ending has come or the server closes."""
        with closing(self.client), asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
            return runner.run(self._run())

    async def _run(self) -> bytes:
        stop = asyncio.Event()
        rules = connection_rules(Settings(http=HttpSettings(max_connections=1)))
        app = Starlette(routes=[Mount("/", self._app)])
        async with asyncio.timeout(HANG_SECONDS), asyncio.TaskGroup() as tasks:
            tasks.create_task(serve(app, self.listening, Listen("", 0, 1), stop, rules=rules))
            received = await self._talk()
            stop.set()
        return received

    async def _talk(self) -> bytes:
        loop = asyncio.get_running_loop()
        self.client.settimeout(0)
        await loop.sock_connect(self.client, self.listening.getsockname())
        await loop.sock_sendall(self.client, self.said)
        if self.ends:
            self.client.shutdown(socket.SHUT_WR)
        received = b""
        while self.ending not in received:
            piece = await loop.sock_recv(self.client, 1 << 16)
            if not piece:
                break
            received += piece
        return received

    async def _app(self, _scope: Scope, receive: Receive, send: Send) -> None:
        message = await receive()
        while message.get("more_body", False):
            message = await receive()
        if message["type"] == "http.disconnect":
            return
        self.just_before()
        for _ in range(self.turns):
            await asyncio.sleep(0)
        length = (b"content-length", b"5")
        await send({"type": "http.response.start", "status": 200, "headers": [length]})
        await send({"type": "http.response.body", "body": b"whole"})


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("turns", TURNS)
def test_a_client_that_ends_as_its_response_is_written_gets_it(loop: str, turns: int) -> None:
    """The end of the client's side is read after the response was written, before it is sent."""
    exchange = Exchange(turns=turns)
    exchange.just_before = lambda: exchange.client.shutdown(socket.SHUT_WR)
    assert exchange.run(loop).endswith(ENDING)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("turns", TURNS)
def test_a_response_goes_out_before_its_connection_makes_room(loop: str, turns: int) -> None:
    """A new connection comes just as the only other one has become idle."""
    with socket.socket() as newcomer:
        newcomer.settimeout(0)
        exchange = Exchange(turns=turns)
        exchange.just_before = lambda: newcomer.connect_ex(exchange.listening.getsockname())
        assert exchange.run(loop).endswith(ENDING)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("turns", TURNS)
def test_an_incomplete_request_after_another_one_is_refused(loop: str, turns: int) -> None:
    """The client has ended: nothing wakes the second request, whose body never becomes whole."""
    said = request("GET", "/") + request("POST", "/", Content_Length="100") + b"half"
    received = Exchange(turns=turns, said=said, ends=True, ending=b"problems/").run(loop)
    assert received.partition(ENDING)[2].startswith(b"HTTP/1.1 400 ")
    assert b"problems/body-incomplete" in received
