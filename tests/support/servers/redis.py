"""Redis: one server a run, nothing written to disk."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from support.servers.containers import container
from support.servers.process import (
    ServerProcess,
    ServerUnavailableError,
    accepts_connections,
    as_user,
    free_port,
    program,
    running,
    work_folder,
)


@dataclass(frozen=True)
class RedisServer:
    """A running server."""

    port: int
    process: ServerProcess | None = None

    @property
    def url(self) -> str:
        """Its address, database 0."""
        return f"redis://127.0.0.1:{self.port}/0"

    def save(self) -> None:
        """Write all values to the file `dump.rdb` of the server's folder, without compression."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as connection:
            for words in (("CONFIG", "SET", "rdbcompression", "no"), ("SAVE",)):
                bulks = "".join(f"${len(word)}\r\n{word}\r\n" for word in words)
                connection.sendall(f"*{len(words)}\r\n{bulks}".encode())
                answer = connection.recv(1024)
                assert answer == b"+OK\r\n", answer


@contextmanager
def redis_server() -> Iterator[RedisServer]:
    """
    A server on a free port.

    Raises:
        ServerUnavailableError: neither the package nor an image is to be had.
    """
    try:
        redis = program("redis-server")
    except ServerUnavailableError:
        with container(
            "redis:8", ports=[6379], ready=lambda p: accepts_connections(p[6379])
        ) as ports:
            yield RedisServer(ports[6379])
        return
    port = free_port()
    with work_folder("nobody") as folder:
        command = [
            *as_user("nobody"),
            redis,
            "--bind",
            "127.0.0.1",
            "--port",
            str(port),
            "--save",
            "",
        ]
        with running(command, folder=folder, ready=lambda: accepts_connections(port)) as process:
            yield RedisServer(port, process)
