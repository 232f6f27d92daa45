"""
HTTP requests to the Kubernetes API, by aiohttp.

Configuration, token renewal and certificates are those of the `kubernetes` package. Its generated
client is not used: its parameters and models double the CPU time of a request.
"""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import aiohttp
from kubernetes.aio import client
from yarl import URL

from healthingest_operator.adapters.proxies import proxy_of

JSON: Final = "application/json"
_LINE_BYTES: Final = 2**21
"""
Maximum length of a watch event; an object has at most 1.5 MiB.

Source: etcd documentation, "System limits".
"""


class Connection:
    """An HTTP session; `headers` are sent with every request."""

    def __init__(self, configuration: client.Configuration, session: aiohttp.ClientSession) -> None:
        self._configuration = configuration
        self._session = session
        self._proxy = configuration.proxy or proxy_of(configuration.host)
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
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """
        Send a request; the response must be read within the context.

        Errors of aiohttp are raised unchanged.
        """
        headers = {"Accept": accept, "Content-Type": content, **self.headers}
        token = await self._configuration.get_api_key_with_prefix(
            "BearerToken", alias="authorization"
        )
        if token:
            headers["Authorization"] = token
        more: dict[str, Any] = {}
        if self._configuration.tls_server_name:
            more["server_hostname"] = self._configuration.tls_server_name
        async with self._session.request(
            method,
            URL(self._configuration.host + path, encoded=True),
            params=query,
            data=None if body is None else json.dumps(body),
            headers=headers,
            proxy=self._proxy,
            proxy_headers=self._configuration.proxy_headers,
            timeout=timeout,
            **more,
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
async def connection(configuration: client.Configuration) -> AsyncIterator[Connection]:
    """Open a session with the certificates of *configuration*."""
    async with client.ApiClient(configuration) as api:
        connector = aiohttp.TCPConnector(
            limit=configuration.connection_pool_maxsize, ssl=api.rest_client.ssl_context
        )
        async with aiohttp.ClientSession(connector=connector, read_bufsize=_LINE_BYTES) as session:
            yield Connection(configuration, session)
