"""Sign-in with a device code (RFC 8628), at a provider whose tokens the API accepts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from healthingest_client import (
    AsyncClient,
    DeviceCode,
    LoginRefusedError,
    NotLoggedInError,
    TokenFile,
)
from healthingest_service.settings.groups import OidcIssuerSettings, OidcSettings
from support.edge import Edge, open_edge
from support.servers.oidc_provider import (
    AUDIENCE,
    CLIENT_ID,
    DeviceSignIn,
    OidcProvider,
    open_oidc_provider,
)

API = "http://test"


class Network(httpx.AsyncHTTPTransport):
    """Sends requests to the API in this process, and others over the network."""

    def __init__(self, edge: Edge) -> None:
        super().__init__()
        self._edge = edge

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request."""
        if request.url.host == "test":
            return await self._edge.http._transport.handle_async_request(request)
        return await super().handle_async_request(request)


@pytest.fixture(name="provider")
async def _provider() -> AsyncIterator[OidcProvider]:
    async with open_oidc_provider() as provider:
        provider.device = DeviceSignIn()
        yield provider


class Waits:
    """Records waits."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def __call__(self, seconds: float) -> None:
        """Record a wait."""
        self.seconds.append(seconds)


@asynccontextmanager
async def signing_in(
    provider: OidcProvider, folder: Path, waits: Waits
) -> AsyncIterator[AsyncClient]:
    """Yield a client of an API that accepts the tokens of the provider."""
    issuer = OidcIssuerSettings(
        url=provider.issuer,
        audience=AUDIENCE,
        client_id=CLIENT_ID,
        redirect_uris=("https://app.example/signed-in",),
        scopes=("openid", "groups"),
    )
    async with (
        open_edge(folder / "api", oidc=OidcSettings(issuers=(issuer,))) as edge,
        AsyncClient(
            API, TokenFile(folder / "tokens.json"), sleep=waits, transport=Network(edge)
        ) as client,
    ):
        yield client


async def test_a_user_signs_in_with_a_code(provider: OidcProvider, tmp_path: Path) -> None:
    """The client asks at the pace of the provider, and the API accepts the token."""
    waits = Waits()
    shown: list[DeviceCode] = []
    device = provider.device
    assert device is not None
    device.answers = ["authorization_pending", "slow_down", "authorization_pending"]
    async with signing_in(provider, tmp_path, waits) as client:
        await client.login_with_device_code(shown.append)
        assert [one async for one in client.uploads()] == []
    assert waits.seconds == [5.0, 5.0, 10.0, 10.0]
    assert device.form == {"client_id": CLIENT_ID, "scope": "openid groups"}
    assert shown[0].instruction == f"open {provider.issuer}/device and type the code WDJB-MJHT"


async def test_the_providers_tokens_are_renewed(provider: OidcProvider, tmp_path: Path) -> None:
    """At the provider, before they end; when it refuses, the user signs in again."""
    device = DeviceSignIn(lifetime_seconds=1)
    provider.device = device
    async with signing_in(provider, tmp_path, Waits()) as client:
        await client.login_with_device_code(lambda _code: None)
        assert [one async for one in client.uploads()] == []
        assert device.renewals == 1
        device.refresh_token = "revoked"
        with pytest.raises(NotLoggedInError, match="has ended"):
            await client.get_upload("1")


@pytest.mark.parametrize(
    ("answer", "words"), [("access_denied", "refused"), ("expired_token", "expired")]
)
async def test_a_user_who_does_not_confirm_is_not_logged_in(
    provider: OidcProvider, tmp_path: Path, answer: str, words: str
) -> None:
    """The message says why, and no token is stored."""
    assert provider.device is not None
    provider.device.answers = [answer]
    async with signing_in(provider, tmp_path, Waits()) as client:
        with pytest.raises(LoginRefusedError, match=words):
            await client.login_with_device_code(lambda _code: None)
    assert not (tmp_path / "tokens.json").exists()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"claimed_issuer": "https://other.example"}, "no identity provider"),
        ({"device": None}, "no sign-in with a device code"),
        ({"metadata": {"token_endpoint": "http://other.example/token"}}, "https://"),
    ],
)
async def test_a_provider_must_be_the_one_it_claims(
    provider: OidcProvider, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    """Nothing is sent to addresses that others could read."""
    for name, value in changes.items():
        setattr(provider, name, value)
    async with signing_in(provider, tmp_path, Waits()) as client:
        with pytest.raises(LoginRefusedError, match=words):
            await client.login_with_device_code(lambda _code: None)
