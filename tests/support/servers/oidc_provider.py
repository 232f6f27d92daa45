"""An identity provider: discovery document, key set, signed tokens, and codes with PKCE."""

import asyncio
import base64
import hashlib
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

AUDIENCE = "healthingest"
CLIENT_ID = "healthingest-page"
_EXPONENT = 65537
_BITS = 2048


@dataclass
class SigningKey:
    """A key of the provider, with its id."""

    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    private: RSAPrivateKey = field(default_factory=lambda: generate_private_key(_EXPONENT, _BITS))

    def public(self) -> dict[str, Any]:
        """Return the key as an entry of a key set."""
        entry: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(
            self.private.public_key(), as_dict=True
        )
        return entry | {"kid": self.id, "use": "sig", "alg": "RS256"}


@dataclass(frozen=True)
class _Code:
    subject: str
    redirect_uri: str
    nonce: str
    challenge: str


@dataclass
class DeviceSignIn:
    """
    A sign-in with a device code (RFC 8628).

    `answers` are the errors that the token endpoint gives, one at each request, before the tokens.
    `renewals` counts refreshed tokens.
    """

    answers: list[str] = field(default_factory=list)
    lifetime_seconds: int = 600
    interval_seconds: int = 5
    renewals: int = 0
    form: dict[str, str] = field(default_factory=dict)
    device_code: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    refresh_token: str = field(default_factory=lambda: secrets.token_urlsafe(16))


@dataclass
class OidcProvider:
    """
    A provider's state.

    The first key signs, and all are published. `fetches` counts requests for the key set,
    `exchanges` those at the token endpoint; `status` is that of every answer; `claimed_issuer`
    replaces the issuer in the discovery document, and `metadata` other members of it.

    With `secret` the client must authenticate, in the header or the form. `id_claims` replace
    claims of ID tokens, and `answer` the answer to a good code. The token endpoint waits for
    `open`. With `device` it offers sign-in with a device code.
    """

    port: int = 0
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey()])
    fetches: int = 0
    status: int = 200
    claimed_issuer: str = ""
    metadata: dict[str, object] = field(default_factory=dict)
    exchanges: int = 0
    secret: str | None = None
    id_claims: dict[str, object] = field(default_factory=dict)
    answer: bytes | None = None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    codes: dict[str, _Code] = field(default_factory=dict)
    device: DeviceSignIn | None = None

    def __post_init__(self) -> None:
        self.open.set()

    @property
    def issuer(self) -> str:
        """The provider's URL."""
        return f"http://127.0.0.1:{self.port}"

    def token(self, subject: str = "ada", **claims: object) -> str:
        """Return an access token for *subject*; a claim that is None is left out."""
        now = int(time.time())
        merged: dict[str, object] = {
            "iss": self.issuer,
            "aud": AUDIENCE,
            "sub": subject,
            "iat": now,
            "exp": now + 600,
            "groups": ["clinic"],
        }
        merged = {name: value for name, value in (merged | claims).items() if value is not None}
        key = self.keys[0]
        return jwt.encode(merged, key.private, algorithm="RS256", headers={"kid": key.id})

    def code(self, subject: str, *, redirect_uri: str, nonce: str, challenge: str) -> str:
        """Return a code, as the redirect after a sign-in has it."""
        code = secrets.token_urlsafe(16)
        self.codes[code] = _Code(subject, redirect_uri, nonce, challenge)
        return code

    async def token_endpoint(self, request: web.Request) -> web.Response:
        """Exchange a code once (RFC 6749, 4.1.3; RFC 7636, 4.6)."""
        self.exchanges += 1
        await self.open.wait()
        form = await request.post()
        if self.device is not None:
            return self._device_tokens(self.device, {name: str(form[name]) for name in form})
        if not self._is_client(request, form):
            return web.json_response({"error": "invalid_client"}, status=401)
        code = self.codes.pop(str(form.get("code")), None)
        digest = hashlib.sha256(str(form.get("code_verifier")).encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if (
            code is None
            or code.redirect_uri != form.get("redirect_uri")
            or code.challenge != challenge
        ):
            return web.json_response({"error": "invalid_grant"}, status=400)
        if self.answer is not None:
            return web.Response(body=self.answer, status=self.status)
        claims = {"aud": CLIENT_ID, "nonce": code.nonce} | self.id_claims
        found = {
            "id_token": self.token(code.subject, **claims),
            "access_token": "opaque",
            "token_type": "Bearer",
        }
        return web.json_response(found, status=self.status)

    async def device_endpoint(self, request: web.Request) -> web.Response:
        """Begin a sign-in with a device code (RFC 8628, 3.2)."""
        device = self.device
        if device is None:
            return web.json_response({"error": "unauthorized_client"}, status=400)
        form = await request.post()
        device.form = {name: str(form[name]) for name in form}
        found = {
            "device_code": device.device_code,
            "user_code": "WDJB-MJHT",
            "verification_uri": f"{self.issuer}/device",
            "expires_in": 600,
            "interval": device.interval_seconds,
        }
        return web.json_response(found)

    def _device_tokens(self, device: DeviceSignIn, form: Mapping[str, str]) -> web.Response:
        """Answer the token endpoint of a device (RFC 8628, 3.4; RFC 6749, 6)."""
        if form["grant_type"] == "refresh_token":
            if form["refresh_token"] != device.refresh_token:
                return web.json_response({"error": "invalid_grant"}, status=400)
            device.renewals += 1
        elif form["device_code"] != device.device_code:
            return web.json_response({"error": "invalid_grant"}, status=400)
        elif device.answers:
            return web.json_response({"error": device.answers.pop(0)}, status=400)
        found = {
            "access_token": self.token(),
            "refresh_token": device.refresh_token,
            "token_type": "Bearer",
            "expires_in": device.lifetime_seconds,
        }
        return web.json_response(found)

    def _is_client(self, request: web.Request, form: Mapping[str, object]) -> bool:
        header = request.headers.get("Authorization", "")
        if self.secret is None:
            return not header and form.get("client_id") == CLIENT_ID
        if header:
            login = base64.b64decode(header.removeprefix("Basic ")).decode().split(":")
            return [unquote_plus(part) for part in login] == [CLIENT_ID, self.secret]
        return form.get("client_secret") == self.secret

    async def discovery(self, _: web.Request) -> web.Response:
        """Answer with the discovery document."""
        found: dict[str, object] = {
            "issuer": self.claimed_issuer or self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "code_challenge_methods_supported": ["S256"],
        }
        if self.device is not None:
            found["device_authorization_endpoint"] = f"{self.issuer}/device_authorization"
        found |= self.metadata
        return web.json_response(found, status=self.status)

    async def key_set(self, _: web.Request) -> web.Response:
        """Answer with the key set."""
        self.fetches += 1
        found = {"keys": [key.public() for key in self.keys]}
        return web.json_response(found, status=self.status)


@asynccontextmanager
async def open_oidc_provider() -> AsyncIterator[OidcProvider]:
    """Run a provider on a free port."""
    provider = OidcProvider()
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", provider.discovery)
    app.router.add_get("/keys", provider.key_set)
    app.router.add_post("/token", provider.token_endpoint)
    app.router.add_post("/device_authorization", provider.device_endpoint)
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.port = runner.addresses[0][1]
        yield provider
    finally:
        await runner.cleanup()
