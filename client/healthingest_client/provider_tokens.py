"""
Tokens of an identity provider: sign-in with a device code (RFC 8628), and their renewal.

The provider is asked directly; the service gets the access token only.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

import httpx

from healthingest_client.credentials import Tokens
from healthingest_client.errors import LoginRefusedError, NotLoggedInError, UnreachableError

_GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"
_INTERVAL_SECONDS: Final = 5.0
"""Between two requests for the token, if the provider says nothing (RFC 8628, 3.2)."""
_SLOWER_SECONDS: Final = 5.0
"""What `slow_down` adds to the interval (RFC 8628, 3.5)."""
_LONGEST_SECONDS: Final = 3600.0
_LOCAL: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_REFUSED: Final = {
    "access_denied": "the sign-in was refused",
    "expired_token": "the code has expired; log in again",
}


@dataclass(frozen=True, slots=True)
class DeviceCode:
    """What a user opens and types: the address, and the code if the address does not have it."""

    user_code: str
    verification_uri: str
    verification_uri_complete: str | None
    expires_in_seconds: float

    @property
    def instruction(self) -> str:
        """What the user does."""
        typed = f"open {self.verification_uri} and type the code {self.user_code}"
        if self.verification_uri_complete is None:
            return typed
        return f"open {self.verification_uri_complete}\nor {typed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pending:
    """A sign-in that the user has not confirmed yet."""

    token_endpoint: str
    client_id: str
    device_code: str = field(repr=False)
    interval_seconds: float
    shown: DeviceCode


async def device_login(  # noqa: PLR0913 - the parts of a sign-in
    http: httpx.AsyncClient,
    *,
    issuer: str,
    client_id: str,
    scope: str,
    show: Callable[[DeviceCode], None],
    sleep: Callable[[float], Awaitable[None]],
) -> Tokens:
    """
    Sign in with a device code, which *show* gets, and return the tokens.

    Raises:
        LoginRefusedError: the provider has no such sign-in, or the user did not confirm it.
        UnreachableError: the provider does not answer.
    """
    pending = await _begun(http, issuer, client_id, scope)
    show(pending.shown)
    interval = pending.interval_seconds
    left_seconds = min(pending.shown.expires_in_seconds, _LONGEST_SECONDS)
    form = {
        "grant_type": _GRANT,
        "device_code": pending.device_code,
        "client_id": client_id,
    }
    while left_seconds > 0:
        await sleep(interval)
        left_seconds -= max(interval, 1.0)
        try:
            answer = await _posted(http, pending.token_endpoint, form)
        except UnreachableError:  # the user may need minutes: ask again (RFC 8628, 3.5)
            interval += _SLOWER_SECONDS
            continue
        if answer.status_code == HTTPStatus.OK:
            return _tokens(answer, pending.token_endpoint, client_id)
        code = _document(answer).get("error")
        if code == "slow_down" or answer.is_server_error:
            interval += _SLOWER_SECONDS
        elif code != "authorization_pending":
            raise _refused(code)
    code = "expired_token"
    raise _refused(code)


async def renewed(http: httpx.AsyncClient, old: Tokens) -> Tokens:
    """
    Return new tokens in place of *old*, which an identity provider has issued.

    Raises:
        NotLoggedInError: the provider does not renew them.
        UnreachableError: the provider does not answer.
    """
    endpoint = old.token_endpoint or ""
    client_id = old.client_id or ""
    form = {
        "grant_type": "refresh_token",
        "refresh_token": old.refresh_token or "",
        "client_id": client_id,
    }
    answer = await _posted(http, endpoint, form)
    if answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise _unreachable(endpoint, f"status {answer.status_code}")
    if answer.status_code != HTTPStatus.OK:
        message = "the session at the identity provider has ended: run `healthingest login`"
        raise NotLoggedInError(message)
    return _tokens(answer, endpoint, client_id, refresh_token=old.refresh_token)


async def _begun(http: httpx.AsyncClient, issuer: str, client_id: str, scope: str) -> _Pending:
    found = await _discovered(http, issuer)
    endpoint = found.get("device_authorization_endpoint")
    if endpoint is None:
        message = f"{issuer} offers no sign-in with a device code"
        raise LoginRefusedError(message)
    token_endpoint = _secure(str(found.get("token_endpoint")))
    answer = await _posted(http, _secure(endpoint), {"client_id": client_id, "scope": scope})
    document = _document(answer)
    if answer.status_code != HTTPStatus.OK:
        raise _refused(document.get("error"))
    try:
        shown = DeviceCode(
            user_code=str(document["user_code"]),
            verification_uri=str(document["verification_uri"]),
            verification_uri_complete=document.get("verification_uri_complete"),
            expires_in_seconds=float(document["expires_in"]),
        )
        return _Pending(
            token_endpoint=token_endpoint,
            client_id=client_id,
            device_code=str(document["device_code"]),
            interval_seconds=float(document.get("interval", _INTERVAL_SECONDS)),
            shown=shown,
        )
    except (KeyError, ValueError, TypeError) as error:
        message = f"{issuer} gave no usable answer"
        raise LoginRefusedError(message) from error


async def _discovered(http: httpx.AsyncClient, issuer: str) -> Mapping[str, Any]:
    """
    Return the metadata of the provider (OpenID Connect Discovery 1.0, 4).

    Raises:
        LoginRefusedError: it is not that of *issuer*, which an attacker could have made.
    """
    address = f"{_secure(issuer).rstrip('/')}/.well-known/openid-configuration"
    try:
        answer = await http.get(address)
    except httpx.TransportError as error:
        raise _unreachable(issuer, type(error).__name__) from error
    document = _document(answer)
    if answer.status_code != HTTPStatus.OK or document.get("issuer") != issuer:
        message = f"{issuer} is no identity provider"
        raise LoginRefusedError(message)
    return document


async def _posted(
    http: httpx.AsyncClient, endpoint: str, form: Mapping[str, str]
) -> httpx.Response:
    try:
        return await http.post(endpoint, data=dict(form))
    except httpx.TransportError as error:
        raise _unreachable(endpoint, type(error).__name__) from error


def _tokens(
    answer: httpx.Response, endpoint: str, client_id: str, *, refresh_token: str | None = None
) -> Tokens:
    """Return the tokens of an answer; a provider may leave the refresh token as it is."""
    document = _document(answer)
    try:
        lifetime = document.get("expires_in")
        return Tokens(
            access_token=str(document["access_token"]),
            refresh_token=document.get("refresh_token", refresh_token),
            expires_at=None if lifetime is None else time.time() + float(lifetime),
            token_endpoint=endpoint,
            client_id=client_id,
        )
    except (KeyError, ValueError, TypeError) as error:
        message = "the identity provider gave no usable answer"
        raise LoginRefusedError(message) from error


def _secure(address: str) -> str:
    """
    Return *address*, to which codes and tokens may be sent.

    Raises:
        LoginRefusedError: others could read them on the way.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL:
        url = httpx.URL()
    if url.scheme != "https" and url.host not in _LOCAL:
        message = f"{address}: the address of an identity provider begins with https://"
        raise LoginRefusedError(message)
    return address


def _document(answer: httpx.Response) -> dict[str, Any]:
    try:
        value = answer.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def _refused(code: object) -> LoginRefusedError:
    """Return the error of a code of RFC 6749 or RFC 8628; others are not repeated."""
    return LoginRefusedError(
        _REFUSED.get(str(code), "the identity provider refused the sign-in; check --client-id")
    )


def _unreachable(address: str, why: str) -> UnreachableError:
    return UnreachableError(f"{address} does not answer ({why})")
