"""A running server with more connections than it allows."""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from support.raw_http import Talk, once, request, talk, wait_for
from support.service_process import ServiceProcess, service

PROXY = "127.0.0.9"
LIMITS = {
    "HTTP__MAX_CONNECTIONS": "8",
    "HTTP__MAX_CONNECTIONS_PER_ADDRESS": "4",
    "SERVER__MAX_CONCURRENCY": "2",
    "SERVER__TRUSTED_PROXIES": f"{PROXY}/32",
}


@pytest.fixture(scope="module", name="running")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceProcess]:
    with service(tmp_path_factory.mktemp("connections"), **LIMITS) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(name="stack")
def _stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def _opened(stack: ExitStack, running: ServiceProcess, source: str) -> Talk:
    """Open a connection that is kept after an answer."""
    connection = stack.enter_context(talk(running.address(), source))
    connection.say(request("GET", "/health/live"))
    assert connection.answer().status == 200
    return connection


def _busy(stack: ExitStack, running: ServiceProcess, source: str) -> Talk:
    """Open a connection with a request in progress: the server waits for its body."""
    connection = stack.enter_context(talk(running.address(), source))
    form = "application/x-www-form-urlencoded"
    said = request(
        "POST", "/auth/jwt/login", Content_Type=form, Content_Length="100", Expect="100-continue"
    )
    connection.say(said)
    assert connection.socket.recv(1024).startswith(b"HTTP/1.1 100 ")
    return connection


def _ended(connections: list[Talk]) -> int:
    return sum(connection.has_ended for connection in connections)


def test_refused_requests_hold_no_slot(running: ServiceProcess, stack: ExitStack) -> None:
    """
    Uploads without a token whose bodies never come.

    They are answered and still open, and another request is served meanwhile.
    """
    for _ in range(3):
        refused = stack.enter_context(talk(running.address()))
        refused.say(request("POST", "/v1/upload", Content_Length="10"))
        assert refused.answer().status == 401
    assert once(running.address(), request("GET", "/")).status == 200


def test_an_address_has_its_share(running: ServiceProcess, stack: ExitStack) -> None:
    """A new connection replaces its oldest idle one, and no connection of another address."""
    other = _opened(stack, running, "127.0.0.2")
    connections = [_opened(stack, running, "127.0.0.3") for _ in range(5)]
    wait_for(lambda: _ended(connections) == 1)
    assert connections[0].has_ended
    assert not other.has_ended


def test_a_trusted_proxy_is_many_clients(running: ServiceProcess, stack: ExitStack) -> None:
    """Only the total limit applies to it; then its oldest idle connection is closed."""
    connections = [_opened(stack, running, PROXY) for _ in range(8)]
    assert _ended(connections) == 0
    newest = _opened(stack, running, "127.0.0.2")
    wait_for(lambda: _ended(connections) == 1)
    assert connections[0].has_ended
    assert not newest.has_ended


def test_a_head_that_trickles_makes_room(running: ServiceProcess, stack: ExitStack) -> None:
    """A connection with an incomplete head counts as idle."""
    halves = [stack.enter_context(talk(running.address(), "127.0.0.4")) for _ in range(4)]
    for half in halves:
        half.say(b"GET / HTTP/1.1\r\n")
    assert _opened(stack, running, "127.0.0.4")
    wait_for(lambda: _ended(halves) == 1)


def test_requests_under_way_are_not_ended(running: ServiceProcess, stack: ExitStack) -> None:
    """If all connections of an address are busy, a new one gets 503."""
    busy = [_busy(stack, running, "127.0.0.5") for _ in range(2)]
    stuck = [stack.enter_context(talk(running.address(), "127.0.0.5")) for _ in range(2)]
    for connection in stuck:
        connection.say(request("POST", "/auth/jwt/login", Content_Length="10"))
        assert connection.answer().problem == "overloaded"
    kept = [_opened(stack, running, "127.0.0.5") for _ in range(3)]
    assert _ended(busy) == 0
    wait_for(lambda: _ended(kept) == 1)


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="needs prlimit")
def test_descriptors_suffice(tmp_path: Path, stack: ExitStack) -> None:
    """With 256 descriptors and 400 idle connections of many addresses, others are served."""
    running = stack.enter_context(service(tmp_path, run_by=("prlimit", "--nofile=256:256")))
    running.wait_until_ready()
    for number in range(400):
        stack.enter_context(talk(running.address(), f"127.0.1.{number % 20 + 1}"))
    with httpx.Client(base_url=running.address(), timeout=30) as client:
        for number in range(3):
            account = {"email": f"{number}@clinic.example", "password": "correct horse battery"}
            assert client.post("/auth/register", json=account).status_code == 201
    assert [event for event in running.events() if event["level"] in {"error", "critical"}] == []
