"""Requests to identity providers (OpenID Connect Discovery 1.0, and RFC 6749 for codes)."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import quote_plus, urlsplit

import aiohttp
import structlog
from typing_extensions import override

from healthingest_contract.tls import TlsMaterial, tls_context
from healthingest_service.identity.errors import (
    InvalidAuthorizationCodeError,
    ProviderUnavailableError,
)
from healthingest_service.identity.oidc import (
    MAX_ID_TOKEN_CHARACTERS,
    Endpoints,
    ProviderKeys,
    endpoints_in,
    keys_in,
)
from healthingest_service.identity.provider_login import CodeExchange, CodeGrant

MAX_BYTES: Final = 256 * 1024
"""Longest discovery document, key set or answer to a code."""
CONNECTIONS: Final = 8
"""Connections to one host, so that a provider that hangs holds back no other one."""
_PATH: Final = "/.well-known/openid-configuration"
_OK: Final = 200
_REFUSED: Final = frozenset({400, 401})
_CODE_ERRORS: Final = frozenset({"invalid_grant", "invalid_request"})
"""The client's code or verifier is wrong (RFC 6749, 5.2); others are a fault of the settings."""
_OTHER_ERRORS: Final = frozenset(
    {"invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope"}
)
_FAILURES: Final = (aiohttp.ClientError, TimeoutError, OSError, ValueError)
_LOG: Final = structlog.get_logger("healthingest.oidc")


class ProviderClient(CodeExchange):
    """Requests to identity providers, each within the deadline and without redirects."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def keys(self, issuer: str) -> ProviderKeys:
        """
        Return the keys and endpoints of the provider with the URL *issuer*.

        Raises:
            ProviderUnavailableError: no answer, or an unusable one; a log line has the cause.
        """
        try:
            return await self._keys(issuer)
        except _FAILURES as error:
            _LOG.warning("oidc_keys_unavailable", issuer=issuer, cause=_cause(error))
            raise ProviderUnavailableError from None

    @override
    async def exchange(self, issuer: str, endpoints: Endpoints, grant: CodeGrant) -> str:
        try:
            return await self._exchange(endpoints, grant)
        except _FAILURES as error:
            _LOG.warning("oidc_code_not_exchanged", issuer=issuer, cause=_cause(error))
            raise ProviderUnavailableError from None

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
        return ProviderKeys(keys.by_id, endpoints_in(found, issuer))

    async def _get(self, url: str) -> dict[str, Any]:
        async with self._session.get(url, allow_redirects=False) as answer:
            if answer.status != _OK:
                raise _UnusableAnswerError(_status(answer))
            return await _document(answer)

    async def _exchange(self, endpoints: Endpoints, grant: CodeGrant) -> str:
        form = {
            "grant_type": "authorization_code",
            "code": grant.code,
            "code_verifier": grant.code_verifier,
            "redirect_uri": grant.redirect_uri,
        }
        headers = {"Accept": "application/json"}
        if grant.client_secret is None:
            form["client_id"] = grant.client_id
        elif endpoints.basic_authentication:
            headers["Authorization"] = _basic(grant.client_id, grant.client_secret)
        else:
            form |= {"client_id": grant.client_id, "client_secret": grant.client_secret}
        request = self._session.post(
            endpoints.token, data=form, headers=headers, allow_redirects=False
        )
        async with request as answer:
            if answer.status in _REFUSED:
                _refuse(answer, (await _document(answer)).get("error"))
            if answer.status != _OK:
                raise _UnusableAnswerError(_status(answer))
            token = (await _document(answer)).get("id_token")
        if not isinstance(token, str) or len(token) > MAX_ID_TOKEN_CHARACTERS:
            message = "the answer has no usable id_token"
            raise _UnusableAnswerError(message)
        return token


def _basic(client_id: str, secret: str) -> str:
    """Return the header of a client; both parts are encoded as in a form (RFC 6749, 2.3.1)."""
    login = f"{quote_plus(client_id)}:{quote_plus(secret)}"
    return f"Basic {base64.b64encode(login.encode('ascii')).decode()}"


def _refuse(answer: aiohttp.ClientResponse, error: object) -> None:
    """
    Raise the error that the provider's code means; its text is not used.

    Raises:
        InvalidAuthorizationCodeError: the code or the verifier is wrong.
        _UnusableAnswerError: the provider refuses this client.
    """
    if error in _CODE_ERRORS:
        raise InvalidAuthorizationCodeError
    named = f" {error}" if error in _OTHER_ERRORS else ""
    raise _UnusableAnswerError(_status(answer) + named)


async def _document(answer: aiohttp.ClientResponse) -> dict[str, Any]:
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


def _status(answer: aiohttp.ClientResponse) -> str:
    return f"status {answer.status}"


def _cause(error: Exception) -> str:
    return str(error) if isinstance(error, _UnusableAnswerError) else type(error).__name__


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
    connector = aiohttp.TCPConnector(ssl=tls_context(tls), limit=0, limit_per_host=CONNECTIONS)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        trust_env=True,
        cookie_jar=aiohttp.DummyCookieJar(),
    ) as session:
        yield ProviderClient(session)
