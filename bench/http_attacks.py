"""
Measures what attacks on HTTP cost the service and its other clients.

`python bench/http_attacks.py`. Each attack uses one or many connections on loopback for some
seconds. Meanwhile another client lists its uploads with a new connection each time. Printed are the
bytes that the attacker could send, the growth of the server's memory, and the waiting time of the
other client.
"""

import itertools
import socket
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

import httpx
from upload_client import signed_in

from support.raw_http import request, resident_bytes
from support.servers.process import work_folder
from support.service_process import ServiceProcess, service

SETTINGS: Final = {"LIMITS__REQUESTS": "1000000/minute", "IDENTITY__ACCESS_TOKEN_SECONDS": "3600"}
SECONDS: Final = 8.0
MIB: Final = 1 << 20
PIECE: Final = 1 << 16
SOCKETS: Final = 600
PER_SECOND: Final = 200
_CHUNKED: Final = (
    b"POST /auth/jwt/login HTTP/1.1\r\nHost: x\r\n"
    b"Content-Type: application/x-www-form-urlencoded\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n"
)
HEADS: Final = {
    "one header value": (b"GET / HTTP/1.1\r\nHost: x\r\nA: ", b"a" * PIECE),
    "one header name": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a" * PIECE),
    "one URL": (b"GET /", b"a" * PIECE),
    "short headers": (b"GET / HTTP/1.1\r\nHost: x\r\n", b"a:b\r\n" * (PIECE // 5)),
    "trailers": (_CHUNKED, b"a:b\r\n" * (PIECE // 5)),
}


class Other(threading.Thread):
    """A client that sends requests in a loop: `waits` in seconds, `statuses` of the answers."""

    def __init__(self, port: int, token: str) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.statuses: dict[int, int] = {}
        self._said = request(
            "GET", "/v1/uploads", Authorization=f"Bearer {token}", Connection="close"
        )
        self._port = port
        self._over = threading.Event()

    def run(self) -> None:
        """Send requests until `stop`."""
        while not self._over.wait(0.02):
            began = time.monotonic()
            status = 0
            with suppress(OSError), _connected(self._port, source="127.0.0.2") as connection:
                connection.sendall(self._said)
                status = int(connection.recv(PIECE).split()[1])
            self.waits.append(time.monotonic() - began)
            self.statuses[status] = self.statuses.get(status, 0) + 1

    def stop(self) -> None:
        """Stop, and wait for the last answer."""
        self._over.set()
        self.join()


@contextmanager
def _connected(port: int, *, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), 60, (source, 0)) as connection:
        yield connection


def _nothing(_port: int) -> int:
    time.sleep(SECONDS)
    return 0


def _head(begin: bytes, more: bytes) -> Callable[[int], int]:
    """Open one connection after the other, each with an endless head."""

    def attack(port: int) -> int:
        sent = 0
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            with suppress(OSError), _connected(port) as connection:
                connection.sendall(begin)
                for piece in itertools.repeat(more):
                    connection.sendall(piece)
                    sent += len(piece)
                    if time.monotonic() > until:
                        break
        return sent

    return attack


def _slots(port: int) -> int:
    """Send uploads without token and body on many connections, again and again."""
    said = request("POST", "/v1/upload", Content_Length="10")
    sent = 0
    until = time.monotonic() + SECONDS
    with ExitStack() as stack:
        opened: list[socket.socket] = []
        while time.monotonic() < until:
            with suppress(OSError):
                connection = stack.enter_context(_connected(port))
                connection.sendall(said)
                opened.append(connection)
                sent += len(said)
            if len(opened) > SOCKETS:
                opened.pop(0).close()
            time.sleep(1 / PER_SECOND)
    return sent


def main() -> int:
    """Run all attacks; exit code 0 if all were measured."""
    attacks = (
        {"none": _nothing}
        | {name: _head(*pieces) for name, pieces in HEADS.items()}
        | {"slots": _slots}
    )
    print(
        "attack               sent, MiB   memory, MiB"
        "   the other's wait, ms: median, p99, longest   answers"
    )
    with work_folder(None) as folder, service(Path(folder), **SETTINGS) as running:
        running.wait_until_ready()
        port = int(running.address().rpartition(":")[2])
        token = signed_in(port)
        for name, attack in attacks.items():
            _measure(name, attack, running, port, token)
    return 0


def _measure(
    name: str, attack: Callable[[int], int], running: ServiceProcess, port: int, token: str
) -> None:
    httpx.get(f"{running.address()}/health/live", timeout=60)
    before = resident_bytes(running.process.pid)
    peak = [0]
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            peak[0] = max(peak[0], resident_bytes(running.process.pid))

    other = Other(port, token)
    watching = threading.Thread(target=watch)
    other.start()
    watching.start()
    sent = attack(port)
    over.set()
    watching.join()
    other.stop()
    waits = sorted(wait * 1000 for wait in other.waits)
    p99 = waits[int(len(waits) * 0.99)]
    print(
        f"{name:20} {sent / MIB:9.0f} {(peak[0] - before) / MIB:13.1f}"
        f"   {statistics.median(waits):9.1f} {p99:9.1f} {waits[-1]:9.1f}   {other.statuses}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
