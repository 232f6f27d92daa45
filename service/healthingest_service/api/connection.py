"""
One HTTP/1.1 connection.

It extends uvicorn's connection with the request parser of this service, a deadline for the request
head, and an entry in the connection table.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast
from uuid import uuid4

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from healthingest_service.api.connection_table import ConnectionTable
from healthingest_service.api.lingering import LingeringTransport
from healthingest_service.api.problems import PROBLEMS, headers_of_status, problem_response
from healthingest_service.api.request_parser import BAD_REQUEST, HeadLimits, RequestParser
from healthingest_service.identity.client_address import Network, client_address, is_trusted


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    """
    The limits of connections.

    Connections of *trusted_proxies* count towards the total only, since many clients share them.
    """

    head: HeadLimits
    head_seconds: float
    keep_alive_seconds: int
    linger_seconds: float
    max_connections: int
    max_connections_per_address: int
    trusted_proxies: Sequence[Network] = ()


class Connection(H11Protocol):
    """
    An HTTP/1.1 connection of one client.

    It answers a request that is refused before routing with its problem document. Such a request
    takes no concurrency slot; *on_refused* is called with the problem code.
    """

    def __init__(
        self,
        *,
        rules: ConnectionRules,
        table: ConnectionTable,
        on_refused: Callable[[str], None],
        **uvicorn_arguments: Any,  # noqa: ANN401 - uvicorn's arguments of a protocol
    ) -> None:
        super().__init__(**uvicorn_arguments)
        self.app = _delivering(self.app)
        self.conn: RequestParser = RequestParser(rules.head)
        self.address: str | None = None
        self._rules = rules
        self._table = table
        self._on_refused = on_refused
        self._ours: LingeringTransport
        self._head_timer: asyncio.TimerHandle | None = None
        self._peer_has_ended = False

    # mypy: as upstream
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Add the connection to the table, and start the deadline of the first request head."""
        self._ours = LingeringTransport(
            transport,
            may_be_sending=self._may_be_sending,
            linger_seconds=self._rules.linger_seconds,
        )
        super().connection_made(cast("asyncio.Transport", self._ours))
        peer = self.client[0] if self.client else None
        self.address = (
            None if is_trusted(peer, self._rules.trusted_proxies) else client_address(peer, (), ())
        )
        if self._table.add(self):
            self._expect_head()
        else:
            self._refuse("overloaded")

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection from the table, and stop its timers."""
        self._head_came()
        self._table.remove(self)
        self._ours.closed()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse *data*; it is discarded once the last response has been written."""
        if self._ours.is_ending:
            return
        if self.conn.is_idle:
            self._expect_head()
        super().data_received(data)
        self._note_state()

    def eof_received(self) -> bool:  # type: ignore[override] # upstream never keeps it open
        """Return whether a response is still due: a half-closed client still gets it."""
        self._peer_has_ended = True
        if self._ours.is_ending or self.cycle is None or self.cycle.response_complete:
            self._ours.flush()  # the event loop closes the transport, not `_ours`
            return False
        if self.conn.awaits_body:
            self._refuse("body-incomplete")
        return True

    def on_response_complete(self) -> None:
        """Expect the next request, or close if the client has closed its side."""
        super().on_response_complete()
        if self._peer_has_ended:
            self._end_after_peer()
        self._note_state()

    def send_400_response(self, msg: str) -> None:
        """Answer a request that the parser refused; *msg*, the text of uvicorn, is not used."""
        del msg
        self._refuse(self.conn.refusal or BAD_REQUEST)

    def shutdown(self) -> None:
        """Close at once if no request is in progress, else after its response."""
        if self._ours.is_ending:
            self._ours.abort_soon()
        else:
            super().shutdown()

    def give_up(self) -> None:
        """
        Close this idle connection, to make room for another one.

        Its last response may have been written in this iteration of the event loop.
        """
        self._on_refused("idle")
        self._ours.abort_soon()

    def _end_after_peer(self) -> None:
        if self.cycle.response_complete:
            self.transport.close()
        elif self.conn.awaits_body:  # of a request that came with the one before
            self._refuse("body-incomplete")

    def _may_be_sending(self) -> bool:
        return not self._peer_has_ended and (self.conn.refusal is not None or self.conn.awaits_body)

    def _refuse(self, code: str) -> None:
        self._head_came()
        self._on_refused(code)
        self.conn.refusal = code
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:  # a second response would corrupt the first
                self._ours.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(_answer(code))
        self.transport.close()
        self._table.set_idle(self, is_idle=True)

    def _note_state(self) -> None:
        is_idle = self.conn.is_idle or self._ours.is_ending
        self._table.set_idle(self, is_idle=is_idle)
        if not is_idle:
            self._head_came()
        elif not self._ours.is_ending and self.conn.trailing_data[0]:
            self._expect_head()

    def _expect_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self._rules.head_seconds, self._head_is_late)

    def _head_is_late(self) -> None:
        self._on_refused("head-too-slow")
        self.transport.close()

    def _head_came(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def _delivering(app: ASGIApp) -> ASGIApp:
    """
    Return *app* with a `receive` that delivers all bytes that came before the client left.

    That of uvicorn drops what it has not delivered yet. A resumable upload keeps it.
    """

    async def delivering(scope: Scope, receive: Receive, send: Send) -> None:
        cycle = getattr(receive, "__self__", None)

        async def received() -> Message:
            message = await receive()
            if message["type"] == "http.disconnect" and isinstance(cycle, RequestResponseCycle):
                rest = b"" if cycle.response_complete else bytes(cycle.body)
                cycle.body = bytearray()
                if rest:
                    return {"type": "http.request", "body": rest, "more_body": True}
            return message

        await app(scope, received, send)

    return delivering


def _answer(code: str) -> bytes:
    """Return a complete HTTP/1.1 response with the problem *code* and `Connection: close`."""
    problem = PROBLEMS[code]
    response = problem_response(
        problem, correlation_id=uuid4().hex, headers=headers_of_status(problem)
    )
    lines = [
        f"HTTP/1.1 {problem.status} {HTTPStatus(problem.status).phrase}".encode("ascii"),
        *(b": ".join(header) for header in response.raw_headers),
        b"connection: close",
    ]
    return b"\r\n".join([*lines, b"", bytes(response.body)])
