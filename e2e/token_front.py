"""
A token service and an S3 server that checks sessions: a program for a pod.

It serves `support.servers.token_service` of the tests, which is mounted beside it. The API server
verifies the tokens (TokenReview). Only ServiceAccounts of the second argument may assume the role.
"""

import asyncio
import json
import os
import ssl
import sys
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from support.servers.token_service import AUDIENCE, TokenService, serving

PORT = 8000
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
REVIEWS = "https://kubernetes.default.svc/apis/authentication.k8s.io/v1/tokenreviews"


@dataclass(frozen=True)
class RealGateway:
    """The S3 server of the dependencies."""

    endpoint: str
    secret_access_key: str
    access_key_id: str = "admin"
    region: str = "us-east-1"
    bucket: str = ""


class Reviews:
    """Asks the API server about tokens."""

    def __init__(self, session: aiohttp.ClientSession, accounts: frozenset[str]) -> None:
        self._session = session
        self._accounts = accounts
        self._tls = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))

    async def problem_of(self, token: str) -> str:
        """Return the code with which a token is refused; empty: it is accepted."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [AUDIENCE]},
        }
        own = (ACCOUNT / "token").read_text(encoding="ascii")
        headers = {"Authorization": f"Bearer {own}"}
        async with self._session.post(REVIEWS, json=body, headers=headers, ssl=self._tls) as answer:
            found = (await answer.json())["status"]
        if not found.get("authenticated") or AUDIENCE not in found.get("audiences", ()):
            return "InvalidIdentityToken"
        return "" if found["user"]["username"] in self._accounts else "AccessDenied"


async def main() -> None:
    """Serve until the pod ends; the arguments are the S3 server, accounts, seconds of a session."""
    endpoint, accounts, seconds = sys.argv[1:]
    gateway = RealGateway(endpoint, os.environ["S3_SECRET"])
    async with aiohttp.ClientSession() as session:
        reviews = Reviews(session, frozenset(json.loads(accounts)))
        service = TokenService(Path("/tmp"), gateway, verify=reviews.problem_of)  # noqa: S108
        service.lifetime_seconds = float(seconds)
        async with serving(service, "0.0.0.0", PORT):  # noqa: S104 - a pod
            await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
