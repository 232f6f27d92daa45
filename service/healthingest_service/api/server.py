"""
uvicorn, started from code.

No signal handlers of its own, no access log, and our own kind of connection.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn

from healthingest_service.api.connection import Connection, ConnectionRules
from healthingest_service.api.connection_table import ConnectionTable

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

_BACKLOG: Final = 2048
_DESCRIPTORS_SHARE: Final = 2
"""
Connections take at most one of so many descriptors.

Files, workers and other servers need theirs.
"""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where, and how long to wait for requests under way at the end."""

    host: str
    port: int
    graceful_seconds: int


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


def connection_limit(wanted: int) -> int:
    """
    So many connections may be open.

    *wanted*, or what the process' limit of descriptors (`ulimit -n`) leaves.
    """
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors // _DESCRIPTORS_SHARE))


async def serve(  # noqa: PLR0913 - what a server is made of
    app: Any,  # noqa: ANN401 - any ASGI application
    listening: socket.socket,
    listen: Listen,
    stop: asyncio.Event,
    *,
    rules: ConnectionRules,
    on_refused: Callable[[str], None] = lambda _: None,
) -> None:
    """
    Serve until *stop* is set, then let requests under way end.

    *on_refused*: see `Connection`.
    """
    limit = connection_limit(rules.max_connections)
    table = ConnectionTable(limit=limit, limit_per_address=rules.max_connections_per_address)
    config = uvicorn.Config(
        cast("ASGIApplication", app),
        http=cast("Any", partial(Connection, rules=rules, table=table, on_refused=on_refused)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # a line for each malformed request would let clients fill the log
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=rules.keep_alive_seconds,
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
