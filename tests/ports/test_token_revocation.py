"""A device token that one process revokes, in another process on the same database."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from healthingest_service.identity.access_tokens import new_key_pem
from support.deadlines import HANG_SECONDS
from support.service_process import COMMAND, environment, service

ACCOUNT = {"email": "ada@clinic.example", "password": "correct horse battery"}


@pytest.fixture(name="servers")
def _servers(tmp_path: Path, postgres_url: str) -> Iterator[list[str]]:
    """Two API processes on one PostgreSQL."""
    settings = {
        "DATABASE__URL": postgres_url,
        "IDENTITY__SIGNING_KEYS": new_key_pem(),
        "LIMITS__REQUESTS": "1000000/hour",
    }
    migrate = environment(tmp_path, **settings)
    subprocess.run([*COMMAND, "migrate"], env=migrate, check=True, timeout=HANG_SECONDS)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(service(tmp_path / name, "api", **settings)) for name in "ab"
        ]
        for process in processes:
            process.wait_until_ready()
        yield [process.address() for process in processes]


def test_is_refused_by_the_other_process(servers: list[str]) -> None:
    """Which has used it a moment ago; a token that was not revoked is still accepted."""
    with httpx.Client(timeout=HANG_SECONDS) as client:
        client.post(f"{servers[0]}/auth/register", json=ACCOUNT)
        form = {"username": ACCOUNT["email"], "password": ACCOUNT["password"]}
        login = client.post(f"{servers[0]}/auth/jwt/login", data=form).json()
        owner = {"Authorization": f"Bearer {login['access_token']}"}
        wish = {"name": os.devnull, "scopes": ["upload:read"]}
        stolen, other = (
            client.post(f"{servers[0]}/v1/tokens", json=wish, headers=owner).json()
            for _ in range(2)
        )

        def status(token: dict[str, str]) -> int:
            headers = {"Authorization": f"Bearer {token['token']}"}
            return client.get(f"{servers[1]}/v1/uploads", headers=headers).status_code

        assert (status(stolen), status(other)) == (200, 200)
        gone = client.delete(f"{servers[0]}/v1/tokens/{stolen['id']}", headers=owner)
        assert gone.status_code == 204
        deadline = time.monotonic() + HANG_SECONDS
        while status(stolen) != 401:
            assert time.monotonic() < deadline
        assert status(other) == 200
