"""Runs uvicorn without signal handlers and access log, with `Connection` as its protocol."""

import asyncio
import contextlib
import errno
import resource
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import uvicorn
from starlette.types import ASGIApp

from healthingest_service.api.connection import Connection, ConnectionRules
from healthingest_service.api.connection_table import ConnectionTable

if TYPE_CHECKING:
    from uvicorn._types import ASGIApplication

_BACKLOG: Final = 2048
_NO_IPV6: Final = frozenset({errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT})
_DESCRIPTORS_SHARE: Final = 2
"""
Connections use at most 1/2 of the file descriptors.

The rest is for files, workers and other servers.
"""


@dataclass(frozen=True, slots=True)
class Listen:
    """The address to listen on; requests in progress get *graceful_seconds* at shutdown."""

    host: str
    """Empty: every address of this machine, of IPv6 and of IPv4."""
    port: int
    graceful_seconds: int


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers: `main` handles signals for all servers of the process."""
        yield


def bind(listen: Listen) -> socket.socket:
    """
    Return a socket that listens on the address of *listen*.

    Raises:
        OSError: the address is in use, or not an address of this machine.
    """
    if not listen.host:
        return _bind_everywhere(listen.port)
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    return socket.create_server((listen.host, listen.port), family=family, backlog=_BACKLOG)


def _bind_everywhere(port: int) -> socket.socket:
    """Return a socket for both IP families, or for IPv4 if the machine has no IPv6."""
    if socket.has_dualstack_ipv6():
        try:
            return socket.create_server(
                ("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True
            )
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise
    return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104 - as wanted


def connection_limit(wanted: int) -> int:
    """Return *wanted*, or half of the limit of file descriptors (`ulimit -n`) if that is less."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if descriptors == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, descriptors // _DESCRIPTORS_SHARE))


async def serve(  # noqa: PLR0913 - the parts of a server
    app: ASGIApp,
    listening: socket.socket,
    listen: Listen,
    stop: asyncio.Event,
    *,
    rules: ConnectionRules,
    on_refused: Callable[[str], None] = lambda _: None,
) -> None:
    """
    Serve *app* until *stop* is set, then wait for requests in progress.

    *on_refused* is called with the problem code of each request that is refused before routing.
    """
    limit = connection_limit(rules.max_connections)
    table = ConnectionTable(limit=limit, limit_per_address=rules.max_connections_per_address)
    config = uvicorn.Config(
        cast("ASGIApplication", app),
        http=cast("Any", partial(Connection, rules=rules, table=table, on_refused=on_refused)),
        ws="none",
        lifespan="on",
        log_config=None,
        log_level="error",  # else clients could fill the log with malformed requests
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
