"""The HTTP connections of an S3 client: aiohttp below aiobotocore, with TLS and proxy."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from aiobotocore.httpsession import AIOHTTPSession
from yarl import URL

from healthingest_contract.tls import TlsMaterial, tls_context

_MOST_ANSWER_BYTES: Final = 64 * 1024
"""Bytes that are read of an answer to a PUT, which is empty or an error in XML."""


@dataclass(frozen=True, slots=True)
class Answer:
    """
    An answer to a PUT; `body` has at most 64 KiB.

    `checksum` is the SHA-256 in base64, `region` that of the bucket, if there are such headers.
    """

    status: int
    checksum: str | None
    region: str | None
    body: bytes


class OneTrySession(AIOHTTPSession):  # type: ignore[misc] # aiobotocore has no types
    """
    The HTTP session of a client, which turns off the retries of aiohttp.

    aiohttp would repeat a PUT silently. If the server then refused the second request, the first
    would seem to be refused, too. aiohttp has no public switch; `tests/ports/` counts requests.
    """

    # ANN401: aiobotocore has no types
    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401
        super().__init__(*arguments, **named)
        self._proxy_by_scheme: dict[str, tuple[str | None, dict[str, str]]] = {}

    # ANN401: aiobotocore has no types
    async def _get_session(self, proxy_url: str | None) -> Any:  # noqa: ANN401
        session = await super()._get_session(proxy_url)
        session._retry_connection = False  # noqa: SLF001 - see above
        return session

    async def put(self, url: str, headers: Mapping[str, str], body: object) -> Answer:
        """
        Send a signed request on the client's connections; *url* is percent-encoded.

        No redirection is followed. A call that is cancelled closes its connection.

        Raises:
            aiohttp.ClientError, OSError: there is no answer, or it is broken.
        """
        address = URL(url, encoded=True)
        proxy, proxy_headers = self._proxy_for(address)
        session = await self._get_session(proxy)
        async with session.put(
            address,
            headers=headers,
            data=body,
            allow_redirects=False,
            proxy=proxy,
            proxy_headers=proxy_headers,
        ) as response:
            return Answer(
                response.status,
                response.headers.get("x-amz-checksum-sha256"),
                response.headers.get("x-amz-bucket-region"),
                await _beginning(response.content),
            )

    def _proxy_for(self, address: URL) -> tuple[str | None, dict[str, str]]:
        """Return the proxy and its headers, which depend on nothing but the scheme."""
        if address.scheme not in self._proxy_by_scheme:
            url = str(address.origin())
            self._proxy_by_scheme[address.scheme] = (
                self._proxy_config.proxy_url_for(url),
                self._proxy_config.proxy_headers_for(url),
            )
        return self._proxy_by_scheme[address.scheme]


def session_class_of(tls: TlsMaterial) -> type[OneTrySession]:
    """Return the class of the HTTP session; with a bundle, only its authorities are trusted."""
    if tls.ca_bundle is None:
        return OneTrySession
    context = tls_context(tls)

    class _TrustingSession(OneTrySession):
        def _build_verify_context(self) -> ssl.SSLContext:
            return context

    return _TrustingSession


async def _beginning(content: aiohttp.StreamReader) -> bytes:
    """Return the first 64 KiB; a connection with more to read is closed."""
    read = bytearray()
    while chunk := await content.read(_MOST_ANSWER_BYTES - len(read)):
        read += chunk
    return bytes(read)
