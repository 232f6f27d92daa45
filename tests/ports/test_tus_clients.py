"""
Public clients of tus upload 50 MB to two replicas through a proxy that cuts every 2 MB.

They run as their authors made them, on PostgreSQL and an S3 server.
"""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import pytest

from healthingest_service.adapters.database.migrate import migrate
from support.cutting_proxy import CuttingProxy, cutting_proxy
from support.deadlines import HANG_SECONDS
from support.samples import block, long, raw_file, record_of
from support.servers.versitygw import S3Server
from support.service_process import service

MIB: Final = 1024 * 1024
FILE_BYTES: Final = 50 * MIB
CUT_BYTES: Final = 2 * MIB
BYTES_PER_SECOND: Final = 4 * MIB
"""As over a mobile network; else a client is back before the service has seen its request."""
PASSWORD: Final = "correct horse battery"
PYTHON_CLIENT: Final = """
import sys
from tusclient.client import TusClient
endpoint, token, path = sys.argv[1:]
client = TusClient(endpoint, headers={"Authorization": f"Bearer {token}"})
uploader = client.uploader(path, chunk_size=2**40, retries=200, retry_delay=0)
uploader.upload()
print(uploader.request.response_headers["healthingest-upload-id"])
"""


@dataclass(frozen=True)
class Installation:
    """Two replicas behind a proxy, an account, and a file of 50 MB."""

    proxy: CuttingProxy
    direct: str
    token: str
    file: Path
    sha256: str

    async def run(self, *command: str) -> str:
        """Let a client upload the file; returns what it prints."""
        words = (*command, f"{self.proxy.url}/v1/files", self.token, str(self.file))
        process = await asyncio.create_subprocess_exec(
            *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(HANG_SECONDS):
            out, err = await process.communicate()
        assert process.returncode == 0, err.decode()[-2000:]
        return out.decode().strip()

    async def has_once(self, upload_id: str) -> bool:
        """Whether the file is one upload, with its bytes."""
        user = {"Authorization": f"Bearer {self.token}"}
        async with httpx.AsyncClient(base_url=self.direct, headers=user, timeout=60) as client:
            (only,) = (await client.get("/v1/uploads")).json()["uploads"]
            content = (await client.get(f"/v1/uploads/{upload_id}/content")).content
        found = (only["upload_id"], only["file_hash"], hashlib.sha256(content).hexdigest())
        return found == (upload_id, self.sha256, self.sha256)


def _write_file(path: Path) -> str:
    """Write a valid file of about 50 MB; returns its hash."""
    value = bytes(range(256)) * 4096
    record = long(len(value)) + value
    blocks = [block(1, record) for _ in range(FILE_BYTES // len(record))]
    content = raw_file(record_of("bytes"), blocks)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
async def installation(
    postgres_url: str, s3_server: S3Server, tmp_path: Path
) -> AsyncIterator[Installation]:
    """Empty."""
    await migrate(postgres_url, timeout_seconds=HANG_SECONDS)
    settings = {
        "DATABASE__URL": postgres_url,
        "STORE__BUCKET": s3_server.bucket,
        "STORE__ENDPOINT": s3_server.endpoint,
        "STORE__ACCESS_KEY_ID": s3_server.access_key_id,
        "STORE__SECRET_ACCESS_KEY": s3_server.secret_access_key,
        "LIMITS__REQUESTS": "100000/minute",
        "LIMITS__MAX_FILE_SIZE_BYTES": str(64 * MIB),
        "DATA_FOLDER": str(tmp_path / "shared"),
    }
    async with AsyncExitStack() as stack:
        replicas = [
            stack.enter_context(service(tmp_path / name, "serve", **settings))
            for name in ("first", "second")
        ]
        addresses = [urlsplit(await asyncio.to_thread(one.address)) for one in replicas]
        for one in replicas:
            await asyncio.to_thread(one.wait_until_ready)
        backends = [(one.hostname or "", one.port or 0) for one in addresses]
        opening = cutting_proxy(backends, cut_bytes=CUT_BYTES, bytes_per_second=BYTES_PER_SECOND)
        proxy = await stack.enter_async_context(opening)
        direct = addresses[0].geturl()
        file = tmp_path / "night.avro"
        sha256 = await asyncio.to_thread(_write_file, file)
        yield Installation(proxy, direct, await _token(direct), file, sha256)


async def _token(url: str) -> str:
    person = {"email": "nurse@clinic.example", "password": PASSWORD}
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        await client.post("/auth/register", json=person)
        form = {"username": person["email"], "password": PASSWORD}
        answer = await client.post("/auth/jwt/login", data=form)
    token: str = answer.json()["access_token"]
    return token


@pytest.fixture
def node_client(node_packages: Path) -> str:
    """The script for tus-js-client, beside its packages."""
    return str(node_packages / "upload.mjs")


def _ratio(installation: Installation) -> float:
    return installation.proxy.sent_bytes / installation.file.stat().st_size


async def test_tus_js_client(installation: Installation, node_client: str) -> None:
    """Each byte is sent about once, although every connection is cut."""
    upload_id = await installation.run("node", node_client)
    assert await installation.has_once(upload_id)
    assert installation.proxy.cuts >= 20
    assert _ratio(installation) <= 1.05


async def test_tus_py_client(installation: Installation) -> None:
    """The same with the client for Python."""
    upload_id = await installation.run(sys.executable, "-c", PYTHON_CLIENT)
    assert await installation.has_once(upload_id)
    assert installation.proxy.cuts >= 20
    assert _ratio(installation) <= 1.05
