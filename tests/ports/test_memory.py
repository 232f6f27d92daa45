"""The memory of the service's processes does not grow with the file."""

import hashlib
import io
from collections.abc import Iterator
from pathlib import Path

import fastavro
import httpx

from support.samples import READING, block, raw_file
from support.service_process import service

MIB = 1024 * 1024
FILE_BYTES = 96 * MIB
GROWTH_BYTES = 24 * MIB
ACCOUNT = {"email": "ada@clinic.example", "password": "correct horse battery"}


def pieces(repeats: int) -> Iterator[bytes]:
    """
    Yield a valid file while it is sent.

    It is the header, then the same block of 1000 records again and again.
    """
    data = io.BytesIO()
    for number in range(1000):
        fastavro.schemaless_writer(data, READING, {"at": number, "rate": 60, "note": "n" * 100})
    yield raw_file(READING, [])
    for _ in range(repeats):
        yield block(1000, data.getvalue())


def peak_bytes(process_id: int) -> int:
    """Return the peak memory of a process and its descendants."""
    lines = Path(f"/proc/{process_id}/status").read_text(encoding="ascii").splitlines()
    own = sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    children = (
        Path(f"/proc/{process_id}/task/{process_id}/children").read_text(encoding="ascii").split()
    )
    return own + sum(peak_bytes(int(child)) for child in children)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    """A file of 96 MiB costs the API and the gate together less than a quarter of it."""
    settings = {"LIMITS__MAX_FILE_SIZE_BYTES": str(2 * FILE_BYTES), "GATE__WORKERS": "1"}
    with service(tmp_path, "serve", **settings) as running:
        running.wait_until_ready()
        with httpx.Client(base_url=running.address(), timeout=50) as client:
            client.post("/auth/register", json=ACCOUNT)
            form = {"username": ACCOUNT["email"], "password": ACCOUNT["password"]}
            token = client.post("/auth/jwt/login", data=form).json()["access_token"]
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/avro"}
            assert client.post("/v1/upload", content=pieces(1), headers=headers).status_code == 201
            before = peak_bytes(running.process.pid)
            repeats = FILE_BYTES // sum(map(len, pieces(1)))
            answer = client.post("/v1/upload", content=pieces(repeats), headers=headers)
            grown = peak_bytes(running.process.pid) - before
    expected = hashlib.sha256(b"".join(pieces(repeats))).hexdigest()
    assert (answer.status_code, answer.json()["file_hash"]) == (201, expected)
    assert grown < GROWTH_BYTES
