"""The service as a process of its own, on ports that the system chooses."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from support.deadlines import HANG_SECONDS

SECONDS: Final = HANG_SECONDS
COMMAND: Final = (sys.executable, "-m", "healthingest_service.main")


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """
    The variables of a service on *folder*; *settings* without the prefix, e.g.

    `LIMITS__UPLOADS`.
    """
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("HEALTHINGEST_")
    }
    ours = {
        "DATA_FOLDER": str(folder),
        "SERVER__PORT": "0",
        "SERVER__METRICS_PORT": "0",
        "SERVER__HOST": "127.0.0.1",
    }
    return inherited | {f"HEALTHINGEST_{name}": value for name, value in (ours | settings).items()}


@dataclass(frozen=True)
class ServiceProcess:
    """A running service and its log."""

    process: subprocess.Popen[bytes]
    log: Path

    def events(self) -> list[dict[str, Any]]:
        """What it has logged in whole lines."""
        whole = self.log.read_text(encoding="utf-8").rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def address(self, server: str = "api", *, seconds: float = SECONDS) -> str:
        """Where `api` or `metrics` listens; *seconds* is how long it may take to begin."""
        deadline = time.monotonic() + seconds
        while True:
            # Asked before the log is read: a fault may end a process right after it listens.
            over = self.process.poll() is not None or time.monotonic() > deadline
            for event in self.events():
                if event["event"] == "listening" and event["server"] == server:
                    return f"http://127.0.0.1:{event['port']}"
            if over:
                raise AssertionError(self.log.read_text(encoding="utf-8"))
            time.sleep(0.02)

    def wait_until_ready(self) -> None:
        """Return when an upload would be accepted."""
        url = f"{self.address()}/health/ready"
        deadline = time.monotonic() + SECONDS
        while httpx.get(url, timeout=SECONDS).status_code != httpx.codes.OK:
            assert time.monotonic() < deadline, self.log.read_text(encoding="utf-8")
            time.sleep(0.02)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait; the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(SECONDS)


@contextmanager
def service(
    folder: Path, command: str = "serve", *, run_by: Sequence[str] = (), **settings: str
) -> Iterator[ServiceProcess]:
    """
    A service that is ended with the context, if it has not ended before.

    *run_by* is what its words come after.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{command}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*run_by, *COMMAND, command], env=environment(folder, **settings), stderr=output
        )
    running = ServiceProcess(process, log)
    try:
        yield running
    finally:
        if running.process.poll() is None:
            running.process.kill()
            running.process.wait(SECONDS)
