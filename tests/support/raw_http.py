"""HTTP as bytes on a socket: what no client library sends."""

import json
import os
import select
import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SECONDS: Final = 60.0
_PIECE_BYTES: Final = 1 << 16


@dataclass(frozen=True)
class Answer:
    """An answer in full."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def problem(self) -> str:
        """The problem's code, with `/` and the cause where there is one."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = json.loads(self.body)
        code: str = problem["type"].rpartition("/")[2]
        return "/".join([code, problem["cause"]] if "cause" in problem else [code])


@dataclass
class Talk:
    """A connection; `sent_bytes` is how much the other side's system took."""

    socket: socket.socket
    sent_bytes: int = 0
    _received: bytes = b""

    def say(self, *pieces: bytes) -> None:
        """Send all of it; a reset while sending is left to the reader to find."""
        for piece in pieces:
            self.socket.sendall(piece)
            self.sent_bytes += len(piece)

    def flood(self, pieces: Iterable[bytes], max_bytes: int) -> None:
        """Send until an answer can be read, the connection is reset, or *max_bytes* went out."""
        for piece in pieces:
            if self.sent_bytes >= max_bytes or select.select([self.socket], [], [], 0)[0]:
                return
            try:
                self.say(piece)
            except ConnectionError:
                return

    def end_sending(self) -> None:
        """Half-close."""
        self.socket.shutdown(socket.SHUT_WR)

    def answer(self, method: str = "POST") -> Answer:
        """The next answer, interim ones apart."""
        head = self._until(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        if status < 200:
            return self.answer(method)
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in lines[1:-2])
        }
        size_bytes = 0 if method == "HEAD" else int(headers.get("content-length", "0"))
        while len(self._received) < size_bytes:
            self._receive()
        body = self._received[:size_bytes]
        self._received = self._received[size_bytes:]
        return Answer(status, headers, body)

    def rest(self) -> bytes:
        """Everything until the other side ends, or resets."""
        while True:
            try:
                self._receive()
            except ConnectionError:
                return self._received

    def has_something(self, seconds: float) -> bool:
        """Whether something is to be read within *seconds*."""
        return bool(select.select([self.socket], [], [], seconds)[0])

    @property
    def has_ended(self) -> bool:
        """
        Whether the other side has ended the connection.

        Only while nothing is to be read from it.
        """
        try:
            return bool(select.select([self.socket], [], [], 0)[0]) and not self.socket.recv(
                1, socket.MSG_PEEK
            )
        except ConnectionError:
            return True

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._received:
            self._receive()
        found, _, self._received = self._received.partition(mark)
        return found + mark

    def _receive(self) -> None:
        received = self.socket.recv(_PIECE_BYTES)
        if not received:
            raise ConnectionError(self._received)
        self._received += received


@contextmanager
def talk(address: str, source: str = "127.0.0.1") -> Iterator[Talk]:
    """A connection to `http://host:port`, from the address *source*."""
    host, _, port = address.removeprefix("http://").rpartition(":")
    with closing(socket.create_connection((host, int(port)), SECONDS, (source, 0))) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield Talk(connection)


def once(address: str, *said: bytes) -> Answer:
    """The first answer to what is said on a connection of its own."""
    with talk(address) as connection:
        connection.say(*said)
        return connection.answer()


def request(method: str, path: str, body: bytes | None = None, **headers: str) -> bytes:
    """A request; underscores in names of headers stand for hyphens."""
    fields: dict[str, Any] = {"Host": "clinic.example"} | {
        n.replace("_", "-"): v for n, v in headers.items()
    }
    if body is not None:
        fields.setdefault("Content-Length", str(len(body)))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + (body or b"")


def resident_bytes(process_id: int) -> int:
    """Memory of one process."""
    pages = int(Path(f"/proc/{process_id}/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def wait_for(condition: Any) -> None:  # noqa: ANN401 - anything that can be called
    """Return when *condition* holds."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
