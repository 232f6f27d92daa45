"""One server of each kind for a whole test run, whatever the number of its processes."""

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import fields, replace
from functools import partial
from multiprocessing.managers import BaseManager
from typing import Any, Final

from support.servers.apiserver import apiserver
from support.servers.postgres import postgres_server
from support.servers.process import ServerUnavailableError
from support.servers.rabbitmq import rabbitmq_server
from support.servers.redis import redis_server
from support.servers.versitygw import s3_server

KINDS: Final[dict[str, Callable[[], AbstractContextManager[Any]]]] = {
    "apiserver": apiserver,
    "postgres": partial(postgres_server, durable=False),
    "rabbitmq": rabbitmq_server,
    "redis": redis_server,
    "s3": s3_server,
}


class ServerPool:
    """
    Starts a server when it is first asked for, and stops all of them at the end.

    Each kind has a thread that lives as long as the pool: Linux ends a child with the thread that
    started it.
    """

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(len(KINDS), thread_name_prefix="server")
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._started: dict[str, Future[object]] = {}

    def get(self, kind: str) -> Any:  # noqa: ANN401 - the server's own class
        """
        Return the running server of *kind*, a key of `KINDS`, without its process.

        Raises:
            ServerUnavailableError: it cannot be had on this machine.
        """
        with self._lock:
            if kind not in self._started:
                self._started[kind] = self._threads.submit(self._start, kind)
        return self._started[kind].result()

    def close(self) -> None:
        """Stop all servers."""
        for started in self._started.values():
            with suppress(Exception):  # the tests that asked for it have failed with this already
                started.result()
        self._stack.close()
        self._threads.shutdown()

    def _start(self, kind: str) -> object:
        opening = KINDS[kind]()
        server = opening.__enter__()
        with self._lock:
            self._stack.push(opening)
        has_process = any(field.name == "process" for field in fields(server))
        return replace(server, process=None) if has_process else server


class _Manager(BaseManager):
    """Lets the other processes of the run call the pool of the first."""


class PoolServer:
    """
    Serves *pool* to other processes, on a socket of Linux's abstract namespace.

    It leaves no file.
    """

    def __init__(self, pool: ServerPool) -> None:
        _Manager.register("get_pool", callable=lambda: _Answers(pool))
        self.address = f"\0healthingest-{uuid.uuid4().hex}"
        self.key = uuid.uuid4().bytes
        server = _Manager(address=self.address, authkey=self.key).get_server()
        threading.Thread(target=server.serve_forever, daemon=True, name="server-pool").start()


class _Answers:
    def __init__(self, pool: ServerPool) -> None:
        self._pool = pool

    def get(self, kind: str) -> tuple[object, str | None]:
        """Return the server, or the reason why there is none."""
        try:
            return self._pool.get(kind), None
        except ServerUnavailableError as error:
            return None, str(error)


class RemotePool:
    """The pool of another process."""

    def __init__(self, address: str, key: bytes) -> None:
        _Manager.register("get_pool")
        self._manager = _Manager(address=address, authkey=key)
        self._manager.connect()

    def get(self, kind: str) -> Any:  # noqa: ANN401 - the server's own class
        """As `ServerPool.get`."""
        # mypy: registered above
        server, unavailable = self._manager.get_pool().get(kind)  # type: ignore[attr-defined]
        if unavailable is not None:
            raise ServerUnavailableError(unavailable)
        return server
