"""
HTTP requests to the Kubernetes API, by aiohttp.

A generated client would double the CPU time of a request with its parameters and models.
"""

import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final

import aiohttp
from yarl import URL

from healthingest_operator.adapters.kubernetes.access import Credentials, read_access
from healthingest_operator.adapters.proxies import proxy_of

MOST_CONNECTIONS: Final = 32
"""
Number of connections for requests; further requests wait.

Each connection with TLS holds a buffer of 256 KiB, and a full reconciliation sends a dozen requests
at once. Watches have connections of their own without a limit: there are eleven in each namespace,
and they would leave none for requests.
"""
JSON: Final = "application/json"
_LINE_BYTES: Final = 2**21
"""
Maximum length of a watch event; an object has at most 1.5 MiB.

Source: etcd documentation, "System limits".
"""


def _nothing() -> Mapping[str, str]:
    return {}


class Connection:
    """
    An HTTP session with *server*; *credentials* returns the headers that log a request in.

    Watches use *watches*, another session with the same server. `headers` are sent with every
    request, too.
    """

    def __init__(
        self,
        server: str,
        session: aiohttp.ClientSession,
        credentials: Callable[[], Mapping[str, str]] = _nothing,
        proxy: str | None = None,
        watches: aiohttp.ClientSession | None = None,
    ) -> None:
        self._server = server.rstrip("/")
        self._session = session
        self._watches = watches or session
        self._credentials = credentials
        self._proxy = proxy or proxy_of(server)
        self.headers: dict[str, str] = {}

    @asynccontextmanager
    async def request(  # noqa: PLR0913 - the parts of an HTTP request
        self,
        method: str,
        path: str,
        *,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp applies it
        query: Sequence[tuple[str, str]] | None = None,
        body: object = None,
        content: str = JSON,
        accept: str = JSON,
        watch: bool = False,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        Send a request; the response must be read within the context.

        Errors of aiohttp are raised unchanged.
        """
        headers = {
            "Accept": accept,
            "Content-Type": content,
            **self.headers,
            **self._credentials(),
        }
        session = self._watches if watch else self._session
        async with session.request(
            method,
            URL(self._server + path, encoded=True),
            params=query,
            data=None if body is None else json.dumps(body),
            headers=headers,
            proxy=self._proxy,
            timeout=timeout,
        ) as answer:
            try:
                yield answer
            finally:
                _reset_unless_read(answer)


def _reset_unless_read(answer: aiohttp.ClientResponse) -> None:
    """
    Abort the connection of a watch that is left before its end.

    aiohttp would start a TLS shutdown without waiting for it. The socket would stay open until the
    server responds, even after the session is closed.
    """
    if answer.connection is not None and answer.connection.transport is not None:
        answer.connection.transport.abort()


@asynccontextmanager
async def connection() -> AsyncIterator[Connection]:
    """
    Open a session with the address and credentials of `read_access`.

    Raises:
        NoAccessError: there are none.
    """
    found = read_access()
    tls = found.as_ssl_context()
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MOST_CONNECTIONS, ssl=tls)
        ) as session,
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=tls), read_bufsize=_LINE_BYTES
        ) as watches,
    ):
        yield Connection(found.server, session, Credentials().headers, found.proxy_url, watches)
