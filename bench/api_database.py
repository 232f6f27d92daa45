"""A new database for API processes that are measured, and the settings that they share."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from healthingest_service.identity.access_tokens import new_key_pem
from support.servers.postgres import postgres_server
from support.service_process import COMMAND, SECONDS, environment

PASSWORD = "correct horse battery"  # noqa: S105 - of accounts that end with the measurement


@dataclass(frozen=True)
class ApiDatabase:
    """A migrated database on PostgreSQL, a folder that ends with it, and settings for processes."""

    folder: Path
    url: str
    settings: dict[str, str]


@contextmanager
def api_database(**settings: str) -> Iterator[ApiDatabase]:
    """Start PostgreSQL, and migrate a database. Requests are practically unlimited."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(stack.enter_context(postgres_server()).database())
        shared = {
            "DATABASE__URL": url,
            "IDENTITY__SIGNING_KEYS": new_key_pem(),
            "LIMITS__REQUESTS": "1000000/second",
        } | settings
        here = environment(folder, **shared)
        subprocess.run([*COMMAND, "migrate"], env=here, check=True, timeout=SECONDS)
        yield ApiDatabase(folder, url, shared)


def signed_in(client: httpx.Client, email: str) -> dict[str, str]:
    """Register an account, and return the header of its requests."""
    account = {"email": email, "password": PASSWORD}
    client.post("/auth/register", json=account).raise_for_status()
    form = {"username": email, "password": PASSWORD}
    answer = client.post("/auth/jwt/login", data=form).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}
