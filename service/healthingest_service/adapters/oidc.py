"""Fetches the public keys of identity providers (OpenID Connect Discovery 1.0)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import structlog

from healthingest_contract.tls import TlsMaterial, tls_context
from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.oidc import ProviderKeys, keys_in

MAX_BYTES: Final = 256 * 1024
"""Longest discovery document or key set."""
_PATH: Final = "/.well-known/openid-configuration"
_OK: Final = 200
_LOG: Final = structlog.get_logger("healthingest.oidc")


class ProviderClient:
    """Requests to identity providers, each within the deadline and without redirects."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def keys(self, issuer: str) -> ProviderKeys:
        """
        Return the keys of the provider with the URL *issuer*.

        Raises:
            IdentityUnavailableError: no answer, or an unusable one; a log line has the cause.
        """
        try:
            return await self._keys(issuer)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            cause = str(error) if isinstance(error, _UnusableAnswerError) else type(error).__name__
            _LOG.warning("oidc_keys_unavailable", issuer=issuer, cause=cause)
            raise IdentityUnavailableError from None

    async def _keys(self, issuer: str) -> ProviderKeys:
        found = await self._get(issuer.rstrip("/") + _PATH)
        if found.get("issuer") != issuer:
            message = "the discovery document has another issuer"
            raise _UnusableAnswerError(message)
        address = found.get("jwks_uri")
        if not isinstance(address, str) or urlsplit(address).scheme != urlsplit(issuer).scheme:
            message = "the discovery document has no usable jwks_uri"
            raise _UnusableAnswerError(message)
        keys = keys_in(await self._get(address))
        if not keys.by_id:
            message = "the key set has no usable key"
            raise _UnusableAnswerError(message)
        return keys

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != _OK:
                message = f"status {answer.status}"
                raise _UnusableAnswerError(message)
            body = await answer.content.read(MAX_BYTES + 1)
            while len(body) <= MAX_BYTES and (more := await answer.content.read(MAX_BYTES)):
                body += more
        if len(body) > MAX_BYTES:
            message = f"more than {MAX_BYTES} bytes"
            raise _UnusableAnswerError(message)
        found = json.loads(body)
        if not isinstance(found, dict):
            message = "the answer is no JSON object"
            raise _UnusableAnswerError(message)
        return found


class _UnusableAnswerError(ValueError):
    """The provider's answer cannot be used; the message contains nothing of it."""


@asynccontextmanager
async def open_provider_client(
    *, timeout_seconds: float, tls: TlsMaterial
) -> AsyncIterator[ProviderClient]:
    """
    Open a client for all providers. Proxy variables of the environment are honoured.

    Raises:
        ValueError: *tls* is unusable.
    """
    connector = aiohttp.TCPConnector(ssl=tls_context(tls), limit=4)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield ProviderClient(session)
