"""A running server with slow bodies, and with a disk that refuses them."""

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path

import httpx
import pytest

from healthingest_service.uploads.ports import SMALL_BODY_BYTES
from support.raw_http import SECONDS, Answer, Talk, request, talk, wait_for
from support.samples import good_file
from support.service_process import ServiceProcess, service

PASSWORD = "correct horse battery"
HEALTH = {"SERVER__HEALTH_INTERVAL_SECONDS": "0.1"}
SLOW = HEALTH | {
    "SERVER__BODY_STALL_SECONDS": "1",
    "LIMITS__UPLOADS": "1000/minute",
    "LIMITS__UPLOADS_AT_ONCE_PER_ACCOUNT": "2",
    "LIMITS__UPLOADS_AT_ONCE_PER_ADDRESS": "3",
}
LARGE_BYTES = 2 << 20


@contextmanager
def _serving(folder: Path, **settings: str) -> Iterator[ServiceProcess]:
    with service(folder, **settings) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="module", name="slow")
def _slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with _serving(tmp_path_factory.mktemp("slow"), **SLOW) as running:
        yield running


def _token(running: ServiceProcess, name: str) -> str:
    account = {"email": f"{name}@clinic.example", "password": PASSWORD}
    with httpx.Client(base_url=running.address(), timeout=60) as client:
        client.post("/auth/register", json=account)
        login = client.post(
            "/auth/jwt/login", data={"username": account["email"], "password": PASSWORD}
        )
        token: str = login.raise_for_status().json()["access_token"]
        return token


def _head(token: str, size_bytes: int, **headers: str) -> bytes:
    said = {
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/avro",
        "Content-Length": str(size_bytes),
    }
    return request("POST", "/v1/upload", None, **said, **headers)


def _begun(stack: ExitStack, running: ServiceProcess, token: str) -> Talk:
    """Begin an upload, and return when the server waits for the body."""
    connection = stack.enter_context(talk(running.address()))
    connection.say(_head(token, LARGE_BYTES, Expect="100-continue"))
    assert connection.socket.recv(1024).startswith(b"HTTP/1.1 100 ")
    return connection


def _upload(running: ServiceProcess, token: str, content: bytes) -> Answer:
    with talk(running.address()) as connection:
        connection.say(_head(token, len(content)), content)
        return connection.answer()


def _is_ready(running: ServiceProcess) -> bool:
    return httpx.get(f"{running.address()}/health/ready", timeout=SECONDS).status_code == 200


def _fed_until_answered(
    connection: Talk, pieces: Iterable[bytes], *, every_seconds: float
) -> Answer:
    deadline = time.monotonic() + SECONDS
    for piece in pieces:
        if connection.has_something(every_seconds):
            break
        assert time.monotonic() < deadline
        connection.say(piece)
    return connection.answer()


def test_bytes_sent_at_once_buy_no_patience(slow: ServiceProcess) -> None:
    """
    A MiB of a valid file, then single bytes with pauses.

    The upload is ended, although its average rate is a thousand times the minimum.
    """
    content = good_file(80_000, seed=1)[: 1 << 20]
    with talk(slow.address()) as connection:
        connection.say(_head(_token(slow, "ada"), LARGE_BYTES), content)
        answer = _fed_until_answered(connection, repeat(b"x"), every_seconds=0.2)
    assert (answer.status, answer.problem) == (408, "body-too-slow")


def test_a_whole_body_has_a_deadline(tmp_path: Path) -> None:
    """A rate above the minimum does not extend it."""
    content = good_file(80_000, seed=2)
    pieces = (content[at : at + 1024] for at in range(0, len(content), 1024))
    with (
        _serving(tmp_path, SERVER__BODY_DEADLINE_SECONDS="1") as running,
        talk(running.address()) as connection,
    ):
        connection.say(_head(_token(running, "ada"), LARGE_BYTES))
        answer = _fed_until_answered(connection, pieces, every_seconds=0.1)
    assert (answer.status, answer.problem) == (408, "body-too-slow")


def test_uploads_at_once_are_limited(slow: ServiceProcess) -> None:
    """For an account and for an address: 429 with `Retry-After`, until one upload has ended."""
    ada, ben, cat = (_token(slow, name) for name in ("ada", "ben", "cat"))
    content = good_file(1, seed=3)
    with ExitStack() as stack:
        _begun(stack, slow, ada)
        last = stack.enter_context(ExitStack())
        _begun(last, slow, ada)
        refused = _upload(slow, ada, content)
        assert (refused.status, refused.problem, refused.headers["retry-after"]) == (
            429,
            "too-many-uploads",
            "5",
        )
        _begun(stack, slow, ben)
        assert _upload(slow, cat, content).problem == "too-many-uploads"
        last.close()
        wait_for(lambda: _upload(slow, cat, content).status in {200, 201})


def test_a_full_spool_is_told_to_each_request(tmp_path: Path) -> None:
    """While one body takes all the room, others get 503, and the process stays ready."""
    settings = HEALTH | {"SPOOL__MAX_BYTES": str(1 << 20), "LIMITS__UPLOADS": "1000/minute"}
    with _serving(tmp_path, **settings) as running, ExitStack() as stack:
        ada = _token(running, "ada")
        hogs = list[Talk]()

        def is_full() -> bool:
            if not hogs or hogs[-1].has_something(
                0
            ):  # the first small file may have taken the room of its last bytes
                hogs.append(_begun(stack, running, ada))
                hogs[-1].say(good_file(80_000, seed=4)[: (1 << 20) - 10])
            return _upload(running, ada, good_file(1, seed=5)).status == 503

        wait_for(is_full)
        refused = _upload(running, ada, good_file(1, seed=5))
        assert (refused.problem, refused.headers["retry-after"]) == (
            "service-unavailable/temporary-storage-full",
            "5",
        )
        checked = [event for event in running.events() if event["event"] == "dependency_changed"]
        assert _is_ready(running)
        assert not [
            event for event in checked if event["dependency"] == "spool" and not event["up"]
        ]


def _a_file(spool: Path) -> None:
    shutil.rmtree(spool)
    spool.write_bytes(b"")


@pytest.mark.timeout(120)
def test_a_broken_spool_is_not_ready(tmp_path: Path) -> None:
    """
    Its folder is replaced by a file: uploads get 503, and readiness is off.

    A small file needs no disk. After the repair all is as before.
    """
    spool = tmp_path / "spool"
    with _serving(
        tmp_path / "data", **HEALTH, SPOOL__FOLDER=str(spool), LIMITS__UPLOADS="1000/minute"
    ) as running:
        token = _token(running, "ada")
        assert _upload(running, token, good_file(1, seed=6)).status == 201
        _a_file(spool)
        large = good_file(SMALL_BODY_BYTES // 8, seed=7)
        assert len(large) > SMALL_BODY_BYTES
        broken = _upload(running, token, large)
        assert (broken.status, broken.problem) == (503, "service-unavailable/temporary-storage")
        assert _upload(running, token, good_file(1, seed=8)).status == 201
        wait_for(lambda: not _is_ready(running))
        spool.unlink()
        wait_for(lambda: _is_ready(running))
        assert _upload(running, token, large).status == 201
        errors = [
            e.get("error")
            for e in running.events()
            if e["event"] == "dependency_changed" and not e["up"]
        ]
        assert errors == ["SpoolUnavailableError (ENOTDIR)"]
