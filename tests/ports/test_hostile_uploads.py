"""A running server receives a thousand malicious files, and valid files from other clients."""

import threading
from collections.abc import Iterator
from contextlib import closing
from itertools import cycle, islice
from pathlib import Path

import httpx
import pytest

from support.samples import good_file, hostile_files
from support.service_process import ServiceProcess, service

UPLOADS = 1000
GROWTH_BYTES = 32 << 20
GENEROUS = {"LIMITS__UPLOADS": "100000/minute", "LIMITS__REQUESTS": "100000/minute"}


@pytest.fixture(name="running")
def _running(tmp_path: Path) -> Iterator[ServiceProcess]:
    with service(tmp_path, **GENEROUS) as running:
        running.wait_until_ready()
        yield running


def _client(running: ServiceProcess, name: str) -> httpx.Client:
    client = httpx.Client(base_url=running.address(), timeout=30)
    email = f"{name}@clinic.example"
    password = "correct horse battery"
    client.post("/auth/register", json={"email": email, "password": password}).raise_for_status()
    login = client.post("/auth/jwt/login", data={"username": email, "password": password})
    client.headers["Content-Type"] = "application/avro"
    client.headers["Authorization"] = f"Bearer {login.raise_for_status().json()['access_token']}"
    return client


def _resident_bytes(running: ServiceProcess) -> int:
    """Return the memory of the server and its children."""
    pids = [running.process.pid]
    total = 0
    while pids:
        pid = pids.pop()
        status = dict(
            line.split(":", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":" in line
        )
        total += int(status["VmRSS"].split()[0]) * 1024
        for task in Path(f"/proc/{pid}/task").iterdir():
            pids += [int(child) for child in (task / "children").read_text().split()]
    return total


class _Honest(threading.Thread):
    """Uploads a new valid file again and again, and records the answers."""

    def __init__(self, client: httpx.Client) -> None:
        super().__init__()
        self._client = client
        self.done = threading.Event()
        self.answers: list[int] = []

    def stop(self) -> None:
        """Stop after the last upload."""
        self.done.set()
        self.join()
        self._client.close()

    def run(self) -> None:
        while not self.done.is_set():
            content = good_file(50, seed=len(self.answers) + 1)
            self.answers.append(self._client.post("/v1/upload", content=content).status_code)


def test_a_thousand_hostile_files_cost_a_thousand_refusals(running: ServiceProcess) -> None:
    """Each answer is a 4xx problem, memory does not grow, and valid uploads succeed meanwhile."""
    honest = _Honest(_client(running, "honest"))
    level = 0
    with closing(_client(running, "hostile")) as client:
        honest.start()
        try:
            for number, content in enumerate(islice(cycle(hostile_files().values()), UPLOADS)):
                answer = client.post("/v1/upload", content=content)
                assert answer.status_code in {415, 422}, answer.text
                assert answer.headers["content-type"] == "application/problem+json"
                if number == UPLOADS // 5:
                    level = _resident_bytes(running)
        finally:
            honest.stop()
    assert _resident_bytes(running) - level < GROWTH_BYTES
    assert len(honest.answers) > UPLOADS // 20
    assert set(honest.answers) == {201}
