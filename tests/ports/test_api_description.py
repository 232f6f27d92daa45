"""
The API against its own OpenAPI document, on PostgreSQL, once for each role (Schemathesis).

No answer is an outage, none lacks in the document, and no operation ignores a missing or wrong
token. The seed is printed on failure; `HEALTHINGEST_API_SEED` repeats it, and
`HEALTHINGEST_API_EXAMPLES` sets the number of requests of an operation.
"""

import os
import random
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from support.deadlines import HANG_SECONDS
from support.service_process import COMMAND, environment, service

RATE: Final = "1000000/hour"
PASSWORD: Final = "correct horse battery"
EXAMPLES: Final = os.environ.get("HEALTHINGEST_API_EXAMPLES", "5")
SEED: Final = os.environ.get("HEALTHINGEST_API_SEED", "")
# Not `allow_header_conformance`: two paths have a page, too, which is no operation.
CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "missing_required_header",
    "ignored_auth",
    "use_after_free",
)
CONFIGURATION: Final = """
[checks.negative_data_rejection]
expected-statuses = [400, 401, 403, 404, 405, 406, 409, 412, 413, 415, 422, 428, 429, "5xx"]
"""
"""Also 412, another version of tus, and 413, a body that is too large, reject a request."""
HOOKS: Final = "support.schemathesis_hooks"
ENDING: Final = ("logOut", "closeOwnAccount", "changePassword")
"""Operations that would end the caller's session; `ENDED` asks them with a token of no use."""
MANY: Final = {
    f"LIMITS__{name}": RATE
    for name in (
        "REQUESTS",
        "UPLOADS",
        "LOGINS",
        "REGISTRATIONS",
        "REFRESHES",
        "MAILS_PER_ADDRESS",
        "MAILS_PER_ACCOUNT",
    )
} | {f"LIMITS__LOGIN_FAILURES_PER_{name}": "1000000" for name in ("DEVICE", "ACCOUNT", "ADDRESS")}


@dataclass(frozen=True)
class Installation:
    """A service on PostgreSQL with the study `sleep`."""

    url: str
    folder: Path
    variables: dict[str, str]

    def admin(self, *words: str) -> None:
        """Run a command of `healthingest-admin`."""
        module = [sys.executable, "-m", "healthingest_service.main.admin_cli"]
        subprocess.run(
            [*module, *words],
            env=self.variables,
            check=True,
            timeout=HANG_SECONDS,
            stdout=subprocess.DEVNULL,
        )

    def token(self, role: str) -> str:
        """Return the access token of a new account with this role."""
        email = f"{secrets.token_hex(6)}@clinic.example"
        with httpx.Client(base_url=self.url, timeout=HANG_SECONDS) as client:
            client.post("/auth/register", json={"email": email, "password": PASSWORD})
            form = {"username": email, "password": PASSWORD}
            token: str = client.post("/auth/jwt/login", data=form).json()["access_token"]
        if role == "administrator":
            self.admin("account", "admin", "--email", email)
        elif role != "account":
            self.admin("study", "member", "--study", "sleep", "--email", email, "--roles", role)
        return token

    def device_token(self) -> str:
        """Return the token of a device of the study."""
        manager = {"Authorization": f"Bearer {self.token('manager')}"}
        with httpx.Client(base_url=self.url, timeout=HANG_SECONDS) as client:
            wish = {"scopes": ["upload:write", "upload:read"]}
            made = client.post("/v1/studies/sleep/enrolments", json=wish, headers=manager).json()
            redeemed = client.post("/v1/enrolments/redeem", json={"code": made["code"]})
            token: str = redeemed.json()["token"]
        return token


@pytest.fixture(name="installation")
def _installation(tmp_path: Path, postgres_url: str) -> Iterator[Installation]:
    settings = MANY | {
        "DATABASE__URL": postgres_url,
        "HTTP__OPENAPI": "true",
        "IDENTITY__ACCESS_TOKEN_SECONDS": "3600",
    }
    variables = environment(tmp_path, **settings)
    subprocess.run([*COMMAND, "migrate"], env=variables, check=True, timeout=HANG_SECONDS)
    with service(tmp_path, "serve", **settings) as process:
        process.wait_until_ready()
        installation = Installation(process.address(), tmp_path, variables)
        installation.admin("study", "create", "--study", "sleep", "--name", "Sleep")
        yield installation


@pytest.mark.long
@pytest.mark.parametrize(
    "role",
    ["anonymous", "account", "uploader", "reader", "manager", "administrator", "device"],
)
def test_each_answer_is_described(installation: Installation, role: str) -> None:
    """Valid and invalid requests of each operation."""
    headers = []
    if role != "anonymous":
        token = installation.device_token() if role == "device" else installation.token(role)
        headers = ["--header", f"Authorization: Bearer {token}"]
    left_out = [word for name in ENDING for word in ("--exclude-operation-id", name)]
    _run(installation, *headers, *(left_out if headers else ()))


@pytest.mark.long
def test_operations_that_end_a_session_are_described(installation: Installation) -> None:
    """Each with its own account, since the first success ends the session."""
    for operation in ENDING:
        token = installation.token("account")
        chosen = ("--include-operation-id", operation)
        _run(installation, "--header", f"Authorization: Bearer {token}", *chosen)


def _run(installation: Installation, *words: str) -> None:
    (installation.folder / "schemathesis.toml").write_text(CONFIGURATION, encoding="utf-8")
    seed = SEED or str(random.SystemRandom().randrange(2**32))
    ran = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{installation.url}/openapi.json",
            f"--url={installation.url}",
            f"--checks={','.join(CHECKS)}",
            "--phases=coverage,fuzzing",
            f"--max-examples={EXAMPLES}",
            f"--seed={seed}",
            f"--request-timeout={HANG_SECONDS:.0f}",
            "--suppress-health-check=all",
            "--warnings=off",
            "--continue-on-failure",
            "--no-color",
            *words,
        ],
        cwd=installation.folder,
        env=os.environ
        | {"SCHEMATHESIS_HOOKS": HOOKS, "PYTHONPATH": str(Path(__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
        timeout=10 * HANG_SECONDS,
    )
    assert ran.returncode == 0, f"seed {seed}\n{ran.stdout[-20_000:]}\n{ran.stderr[-2_000:]}"
