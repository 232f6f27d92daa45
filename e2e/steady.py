"""Clients that upload continuously, each time a different file, without retries."""

import secrets
import threading
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import httpx

import kubectl as k8s
import outside
from support import samples

NO_LIMITS: Mapping[str, str] = {"uploads": "100000/minute", "requests": "100000/minute"}
"""Higher than the clients' rates; for `limits` of the HealthIngest."""
JOIN_SECONDS = outside.SECONDS + 5


class SteadyUploads:
    """
    Uploads while the context is open.

    `acknowledged` has the id of every upload that was answered with success. `failures` has all
    other results, with the second of the request.
    """

    def __init__(self, user: outside.Api, *, clients: int = 2, pause_seconds: float = 0.2) -> None:
        self.acknowledged: set[str] = set()
        self.failures: list[str] = []
        self._user = user
        self._pause_seconds = pause_seconds
        self._over = threading.Event()
        self._began = time.monotonic()
        # a bucket can be older than the run, and its files must be different
        first = secrets.randbits(40)
        self._threads = [
            threading.Thread(target=self._go_on, args=(first + n, clients)) for n in range(clients)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join(JOIN_SECONDS)

    def some_more(self, count: int = 10, *, seconds: float = 30.0) -> None:
        """Wait for *count* further uploads, whatever their results."""
        wanted = self._ended() + count
        k8s.eventually(f"{count} further uploads", lambda: self._ended() >= wanted, seconds=seconds)

    def _ended(self) -> int:
        return len(self.acknowledged) + len(self.failures)

    def _go_on(self, number: int, step: int) -> None:
        while not self._over.wait(self._pause_seconds):
            sent = time.monotonic() - self._began
            try:
                answer = self._user.upload(samples.good_file(seed=number))
            except httpx.HTTPError as error:
                self.failures.append(f"{sent:.1f} s: {type(error).__name__}: {error}")
            else:
                if answer.status_code == httpx.codes.CREATED:
                    self.acknowledged.add(answer.json()["upload_id"])
                else:
                    self.failures.append(f"{sent:.1f} s: {answer.status_code} {answer.text[:300]}")
            number += step
