"""Clients that others generate from our OpenAPI document upload a file, unedited."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest

from support.deadlines import HANG_SECONDS
from support.samples import good_file
from support.service_process import service

RECORDS: Final = 3
PASSWORD: Final = "correct horse battery"
OF_OTHER_CLIENTS: Final = {"appendtoupload", "appendtoresumableupload", "createresumableupload"}
"""Their content types are those of tus and of the draft, which the generator does not know."""
PYTHON: Final = """
import io, sys
from generated import AuthenticatedClient, Client
from generated.api.accounts import log_in, register_account
from generated.api.uploads import create_upload, get_upload
from generated.models import LoggingIn, ProblemView, Registering
from generated.types import File

server, password, path = sys.argv[1:]
anonymous = Client(base_url=server)
email = "generated@clinic.example"
register_account.sync(client=anonymous, body=Registering(email=email, password=password))
tokens = log_in.sync(client=anonymous, body=LoggingIn(username=email, password=password))
client = AuthenticatedClient(base_url=server, token=tokens.access_token)
with open(path, "rb") as content:
    receipt = create_upload.sync(client=client, body=File(payload=content))
upload = get_upload.sync(receipt.upload_id, client=client)
refused = create_upload.sync(client=client, body=File(payload=io.BytesIO(b"not Avro")))
assert isinstance(refused, ProblemView), refused
print(upload.upload_id, upload.record_count, len(upload.outcomes), refused.status)
"""


@dataclass(frozen=True)
class Installation:
    """A service, its OpenAPI document, and a file to upload."""

    url: str
    document: Path
    file: Path


@pytest.fixture(name="installation", scope="module")
def _installation(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    folder = tmp_path_factory.mktemp("generated-clients")
    file = folder / "night.avro"
    file.write_bytes(good_file(RECORDS))
    with service(folder / "service") as running:
        running.wait_until_ready()
        document = folder / "openapi.json"
        found = httpx.get(f"{running.address()}/openapi.json", timeout=HANG_SECONDS)
        document.write_bytes(found.content)
        yield Installation(running.address(), document, file)


def run(*words: str, folder: Path, **variables: str) -> str:
    """Run a program to its end, and return what it printed."""
    done = subprocess.run(
        words,
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_a_python_client(installation: Installation, tmp_path: Path) -> None:
    """Of openapi-python-client: it has a module for each operation that is not of tus."""
    config = tmp_path / "config.json"
    config.write_text('{"post_hooks": []}', encoding="utf-8")
    program = str(Path(sys.executable).with_name("openapi-python-client"))
    words = ("generate", f"--path={installation.document}", "--meta=none", f"--config={config}")
    run(program, *words, f"--output-path={tmp_path / 'generated'}", folder=tmp_path)

    document = json.loads(installation.document.read_text(encoding="utf-8"))
    operations = {
        operation["operationId"].lower()
        for methods in document["paths"].values()
        for operation in methods.values()
    }
    modules = (one.stem for one in (tmp_path / "generated/api").glob("*/*.py"))
    found = {name.replace("_", "") for name in modules if name != "__init__"}
    assert operations - found == OF_OTHER_CLIENTS
    given = (installation.url, PASSWORD, str(installation.file))
    printed = run(sys.executable, "-c", PYTHON, *given, folder=tmp_path, PYTHONPATH=str(tmp_path))
    assert printed.split()[1:] == [str(RECORDS), "0", "415"]


def test_a_typescript_client(
    installation: Installation, node_packages: Path, tmp_path: Path
) -> None:
    """With types of openapi-typescript it type-checks, and wrong uses of them do not."""
    program = node_packages / "node_modules" / ".bin"
    types = ("openapi-typescript", str(installation.document), "-o", str(node_packages / "api.ts"))
    run(str(program / types[0]), *types[1:], folder=node_packages)
    run(str(program / "tsc"), "--outDir", str(tmp_path), folder=node_packages)

    account = {"email": "typed@clinic.example", "password": PASSWORD}
    with httpx.Client(base_url=installation.url, timeout=HANG_SECONDS) as client:
        client.post("/auth/register", json=account)
        form = {"username": account["email"], "password": PASSWORD}
        token = client.post("/auth/jwt/login", data=form).json()["access_token"]
    given = (installation.url, token, str(installation.file))
    printed = run("node", str(tmp_path / "client.mjs"), *given, folder=tmp_path)
    assert printed.split()[1:] == [str(RECORDS), "0"]
