"""A client that takes little processor time: blocking sockets, one request after the other."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import httpx
from upload_files import UploadFile

_SECONDS: Final = 120.0
_RECEIVE_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Target:
    """The target of uploads, and the request's headers except the length."""

    name: str
    port: int
    path: str
    headers: Mapping[str, str]
    length_header: str = "Content-Length"
    """A header that repeats the size, as tus demands."""

    def head(self, size_bytes: int) -> bytes:
        """Return the head of the request."""
        lines = [f"POST {self.path} HTTP/1.1", "Host: 127.0.0.1", f"Content-Length: {size_bytes}"]
        if self.length_header != "Content-Length":
            lines.append(f"{self.length_header}: {size_bytes}")
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


class Connection:
    """One connection that is kept open."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def upload(self, target: Target, file: UploadFile) -> int:
        """Send a file, and return the status of the answer."""
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), _SECONDS)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        small = file.repeats == 0
        pieces = file.pieces()
        head = target.head(file.size_bytes)
        with contextlib.suppress(ConnectionError):  # refused before the end of the body
            self._socket.sendall(head + next(pieces) if small else head)
            for piece in pieces:
                self._socket.sendall(piece)
        return self._answer(self._socket)

    def _answer(self, connection: socket.socket) -> int:
        received = b""
        while b"\r\n\r\n" not in received:
            received += _some(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:])
        }
        left = int(headers.get("content-length", "0")) - len(body)
        while left > 0:
            left -= len(_some(connection))
        if headers.get("connection", "").lower() == "close":
            self._close()
        return int(lines[0].split()[1])

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _some(connection: socket.socket) -> bytes:
    received = connection.recv(_RECEIVE_BYTES)
    if not received:
        message = "the server hung up"
        raise ConnectionError(message)
    return received


@dataclass
class Burst:
    """The results of many uploads."""

    seconds: float = 0.0
    each_seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    @property
    def per_second(self) -> float:
        """Return the uploads a second that were answered with 200 or 201."""
        return sum(n for status, n in self.statuses.items() if status in {200, 201}) / self.seconds

    def percentile(self, share: float) -> float:
        """Return the seconds within which this share of the answers came."""
        ordered = sorted(self.each_seconds)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def burst(  # noqa: PLR0913 - the load is described by all of it
    targets: Sequence[Target],
    make: Callable[[int], UploadFile],
    *,
    clients: int,
    seconds: float,
    numbers: Iterator[int],
    choose: Callable[[Target, int], Target] | None = None,
) -> Burst:
    """
    Keep *clients* connections busy for *seconds*.

    Each sends the next file after its answer. They are distributed over *targets*, as by a load
    balancer. *choose* returns another target of the same server for each number of a file.
    """
    seen = Burst()
    lock = threading.Lock()
    began = time.monotonic()

    def work(target: Target) -> None:
        with Connection(target.port) as connection:
            while time.monotonic() - began < seconds:
                number = next(numbers)
                file = make(number)
                to = target if choose is None else choose(target, number)
                sent = time.monotonic()
                status = connection.upload(to, file)
                took = time.monotonic() - sent
                with lock:
                    seen.each_seconds.append(took)
                    seen.statuses[status] = seen.statuses.get(status, 0) + 1

    threads = [
        threading.Thread(target=work, args=(targets[number % len(targets)],))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen.seconds = time.monotonic() - began
    return seen


def signed_in(port: int) -> str:
    """Return the access token of a new account."""
    account = {"email": "ada@clinic.example", "password": "correct horse battery"}
    form = {"username": account["email"], "password": account["password"]}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=_SECONDS) as client:
        client.post("/auth/register", json=account).raise_for_status()
        token: str = (
            client.post("/auth/jwt/login", data=form).raise_for_status().json()["access_token"]
        )
    return token
