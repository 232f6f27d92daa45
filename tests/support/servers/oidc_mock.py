"""The provider of the package oidc-provider-mock, in a process of its own."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx

from support.servers.process import (
    accepts_connections,
    as_user,
    free_port,
    running,
    work_folder,
)


@dataclass(frozen=True)
class MockProvider:
    """A running provider. It issues codes for any user, client and redirect URI, without PKCE."""

    port: int

    @property
    def issuer(self) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.port}"

    async def set_user(self, subject: str, **claims: object) -> None:
        """Give a user these claims, and no others."""
        async with httpx.AsyncClient(base_url=self.issuer) as http:
            (await http.put(f"/users/{subject}", json=claims)).raise_for_status()

    async def code(self, endpoint: str, subject: str, **parameters: str) -> str:
        """Sign *subject* in at the authorization *endpoint*, and return the code."""
        async with httpx.AsyncClient() as http:
            query = {"response_type": "code"} | parameters
            answer = await http.post(endpoint, params=query, data={"sub": subject})
        assert answer.status_code == 302, answer.text
        return parse_qs(urlsplit(answer.headers["Location"]).query)["code"][0]


@contextmanager
def mock_provider() -> Iterator[MockProvider]:
    """Run a provider on a free port."""
    port = free_port()
    with work_folder(None) as folder:
        command = [
            *as_user(None),
            sys.executable,
            "-W",
            "ignore",  # what it imports of Authlib is deprecated there
            "-m",
            "oidc_provider_mock",
            "--port",
            str(port),
        ]
        with running(command, folder=folder, ready=lambda: accepts_connections(port)):
            yield MockProvider(port)
