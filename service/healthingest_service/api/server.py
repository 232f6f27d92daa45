"""uvicorn, started from code: no signal handlers of its own, no access log, patience that ends."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast
from uuid import uuid4

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from healthingest_service.api.problems import PROBLEMS, problem_response

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

_HEAD_SECONDS: Final = 15.0
"""A request's head must have come by then; uvicorn itself would wait for ever."""
_KEEP_ALIVE_SECONDS: Final = 75
"""Longer than ingress controllers keep their idle connections (60 s): else they meet closed ones."""
_BACKLOG: Final = 2048


@dataclass(frozen=True, slots=True)
class Listen:
    """Where, and how long to wait for requests under way at the end."""

    host: str
    port: int
    graceful_seconds: int


class ImpatientProtocol(HttpToolsProtocol):
    """HTTP/1.1 with a deadline for the head of each request."""

    _head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as upstream
        """A first request is due."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is due any more."""
        self._head_came()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A further request on this connection has begun."""
        super().on_message_begin()
        self._head_came()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is here; the body has deadlines of its own."""
        self._head_came()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem, too; *msg* is uvicorn's text and not repeated."""
        del msg
        answer = problem_response(PROBLEMS["bad-request"], correlation_id=uuid4().hex)
        lines = [b"HTTP/1.1 400 Bad Request", *(b": ".join(header) for header in answer.raw_headers)]
        self.transport.write(b"\r\n".join([*lines, b"connection: close", b"", bytes(answer.body)]))
        self.transport.close()

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(_HEAD_SECONDS, self.transport.close)

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the composition root's: it has more to end than one server."""
        yield


def bind(listen: Listen) -> socket.socket:
    """
    The listening socket.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    return socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG)


async def serve(app: Any, listening: socket.socket, listen: Listen, stop: asyncio.Event) -> None:  # noqa: ANN401 - any ASGI application
    """Serve until *stop* is set, then let requests under way end."""
    config = uvicorn.Config(
        cast("ASGIApplication", app),
        http=ImpatientProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=listen.graceful_seconds,
    )
    server = _Server(config)

    async def watch() -> None:
        await stop.wait()
        server.should_exit = True

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(watch())
        await server.serve(sockets=[listening])
        watching.cancel()
