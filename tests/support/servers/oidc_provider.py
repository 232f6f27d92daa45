"""An identity provider: discovery document, key set, and signed access tokens."""

import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

AUDIENCE = "healthingest"
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


@dataclass
class OidcProvider:
    """
    A provider's state.

    The first key signs, and all are published. `fetches` counts requests for the key set; `status`
    is that of every answer; `claimed_issuer` replaces the issuer in the discovery document.
    """

    port: int = 0
    keys: list[SigningKey] = field(default_factory=lambda: [SigningKey()])
    fetches: int = 0
    status: int = 200
    claimed_issuer: str = ""

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

    async def discovery(self, _: web.Request) -> web.Response:
        """Answer with the discovery document."""
        found = {
            "issuer": self.claimed_issuer or self.issuer,
            "jwks_uri": f"{self.issuer}/keys",
        }
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
    runner = web.AppRunner(app, shutdown_timeout=1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.port = runner.addresses[0][1]
        yield provider
    finally:
        await runner.cleanup()
