"""Downloads through a running server, from a folder and from S3."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from support.raw_http import SECONDS, Talk, request, talk, wait_for
from support.samples import good_file
from support.service_process import ServiceProcess, service

PASSWORD = "correct horse battery"
LARGE = good_file(1_300_000)
"""More than the buffers of both sockets hold."""
LIMITS = {
    "SERVER__HEALTH_INTERVAL_SECONDS": "0.1",
    "SERVER__BODY_STALL_SECONDS": "1",
    "LIMITS__UPLOADS": "1000/minute",
    "LIMITS__REQUESTS": "1000/minute",
}


@pytest.fixture(params=["folder", "s3"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceProcess]:
    """A server with either store."""
    settings = LIMITS
    if request.param == "s3":
        server = request.getfixturevalue("s3_server")
        settings = settings | {
            "STORE__ENDPOINT": server.endpoint,
            "STORE__REGION": server.region,
            "STORE__BUCKET": server.bucket,
            "STORE__ACCESS_KEY_ID": server.access_key_id,
            "STORE__SECRET_ACCESS_KEY": server.secret_access_key,
        }
    with service(tmp_path / "service", **settings) as process:
        process.wait_until_ready()
        yield process


@pytest.fixture
def on_folder(tmp_path: Path) -> Iterator[ServiceProcess]:
    """A server with a folder as store."""
    with service(tmp_path / "service", **LIMITS) as process:
        process.wait_until_ready()
        yield process


def uploaded(running: ServiceProcess, content: bytes) -> tuple[str, dict[str, str]]:
    """Upload *content* with a new account; returns the path of the file, and the headers."""
    account = {"email": "ada@clinic.example", "password": PASSWORD}
    with httpx.Client(base_url=running.address(), timeout=SECONDS) as http:
        http.post("/auth/register", json=account)
        login = http.post(
            "/auth/jwt/login", data={"username": account["email"], "password": PASSWORD}
        )
        headers = {"Authorization": f"Bearer {login.json()['access_token']}"}
        answer = http.post(
            "/v1/upload", content=content, headers=headers | {"Content-Type": "application/avro"}
        )
        assert answer.status_code == 201, answer.text
    return f"/v1/uploads/{answer.json()['upload_id']}/content", headers


def downloads(running: ServiceProcess, outcome: str) -> float:
    """Return how many downloads ended like this."""
    text = httpx.get(f"{running.address('metrics')}/metrics", timeout=SECONDS).text
    name = f'healthingest_downloads_total{{outcome="{outcome}"}} '
    found = [line for line in text.splitlines() if line.startswith(name)]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def begun(connection: Talk, path: str, headers: dict[str, str]) -> None:
    """Ask for the file, and read no further than the beginning."""
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.say(request("GET", path, None, **headers))
    assert connection.socket.recv(12) == b"HTTP/1.1 200"


@pytest.mark.parametrize("content", [good_file(1), LARGE], ids=["small", "large"])
def test_the_bytes_come_back(running: ServiceProcess, content: bytes) -> None:
    """The whole file, and any range of it, on one connection."""
    path, headers = uploaded(running, content)
    with httpx.Client(base_url=running.address(), timeout=SECONDS, headers=headers) as http:
        whole = http.get(path)
        assert hashlib.sha256(whole.content).digest() == hashlib.sha256(content).digest()
        half = len(content) // 2
        parts = [
            http.get(path, headers={"Range": wanted})
            for wanted in (f"bytes=0-{half}", f"bytes={half + 1}-", "bytes=-1")
        ]
        head = http.head(path)
    assert [part.status_code for part in parts] == [206] * 3
    assert parts[0].content + parts[1].content == content
    assert parts[2].content == content[-1:]
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(content)))
    assert downloads(running, "complete") == 4


def test_a_client_that_does_not_read_is_cut_off(running: ServiceProcess) -> None:
    """It loses its connection, so that none to the store is held; it is counted and logged."""
    path, headers = uploaded(running, LARGE)
    with talk(running.address()) as connection:
        begun(connection, path, headers)
        wait_for(lambda: downloads(running, "client-too-slow") == 1)
    wait_for(lambda: "download_ended_early" in running.log.read_text(encoding="utf-8"))


def test_a_client_that_leaves_ends_the_download(running: ServiceProcess) -> None:
    """The rest is not read from the store."""
    path, headers = uploaded(running, LARGE)
    with talk(running.address()) as connection:
        begun(connection, path, headers)
    wait_for(lambda: downloads(running, "client-left") == 1)


def test_a_file_that_ends_early_is_not_taken_for_whole(on_folder: ServiceProcess) -> None:
    """The store fails in mid-stream: the client gets fewer bytes than announced, and an end."""
    path, headers = uploaded(on_folder, LARGE)
    (file,) = on_folder.log.parent.rglob("*.avro")
    with (
        httpx.Client(base_url=on_folder.address(), timeout=SECONDS, headers=headers) as http,
        http.stream("GET", path) as answer,
    ):
        assert answer.headers["content-length"] == str(len(LARGE))
        with file.open("r+b") as opened:
            opened.truncate(10)
        with pytest.raises(httpx.RemoteProtocolError):
            answer.read()
    wait_for(lambda: downloads(on_folder, "store-failed") == 1)
