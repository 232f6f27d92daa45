"""Starting, watching and ending one server process."""

import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_PORTS = range(12_000, 30_000)
"""Below the ports of outgoing connections and those of Kubernetes' Services."""
START_SECONDS = 60.0
STOP_SECONDS = 15.0


class ServerUnavailableError(Exception):
    """The server cannot be had on this machine; the text says why and what would help."""


def free_port() -> int:
    """
    Return a port of loopback that was free a moment ago.

    It is not one of those that the system gives to outgoing connections: on a busy machine one of
    them would take the port before the server does. It is chosen by chance, so that runs side by
    side choose different ones.
    """
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as listener, suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


def has_ipv6() -> bool:
    """Whether this machine has an IPv6 loopback address."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


def accepts_connections(port: int) -> bool:
    """Whether something listens there."""
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("127.0.0.1", port)) == 0


def program(name: str, *, folders: tuple[str, ...] = ()) -> str:
    """
    The path of a program, on PATH or in one of *folders*.

    Raises:
        ServerUnavailableError: it is nowhere.
    """
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        message = f"no program `{name}` here; `make test` installs it where root and apt are"
        raise ServerUnavailableError(message)
    return found


def wait_until(
    check: Callable[[], bool],
    *,
    seconds: float,
    what: str,
    process: "subprocess.Popen[bytes] | None",
) -> None:
    """
    Wait for *check* to hold.

    Raises:
        RuntimeError: it does not within *seconds*, or *process* ended first.
    """
    deadline = time.monotonic() + seconds
    while not check():
        if process is not None and process.poll() is not None:
            message = f"{what} ended with {process.returncode} while starting"
            raise RuntimeError(message)
        if time.monotonic() > deadline:
            message = f"{what} was not ready within {seconds} s"
            raise RuntimeError(message)
        time.sleep(0.05)


@contextmanager
def work_folder(owner: str | None) -> Iterator[Path]:
    """An own folder for a server's data, given to the user *owner* when we are root."""
    with tempfile.TemporaryDirectory(
        prefix="healthingest-test-", ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        if owner is not None and os.geteuid() == 0:
            entry = pwd.getpwnam(owner)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        yield folder


def as_user(owner: str | None) -> list[str]:
    """
    Words in front of a command.

    Run it as *owner* when we are root, and let it die with this process.
    """
    words = [program("setpriv"), "--pdeathsig", "KILL"]
    if owner is not None and os.geteuid() == 0:
        entry = pwd.getpwnam(owner)
        words += ["--reuid", str(entry.pw_uid), "--regid", str(entry.pw_gid), "--clear-groups"]
    return [*words, "--"]


@dataclass
class ServerProcess:
    """
    A server that can be killed, paused and started again as it was.

    Its output lies in `server.log`.
    """

    command: list[str]
    folder: Path
    environment: Mapping[str, str]
    ready: Callable[[], bool]
    process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        """
        Start it and wait until it is ready.

        A killed one may hold ports or locks for a moment: tried for a while.

        Raises:
            RuntimeError: it did not become ready; the end of its log is in the text.
        """
        deadline = time.monotonic() + START_SECONDS
        while True:
            with (self.folder / "server.log").open("wb") as output:
                self.process = subprocess.Popen(
                    self.command,
                    cwd=self.folder,
                    env=dict(self.environment),
                    stdout=output,
                    stderr=output,
                    stdin=subprocess.DEVNULL,
                )
            try:
                wait_until(
                    self.ready,
                    seconds=START_SECONDS,
                    what=Path(self.command[0]).name,
                    process=self.process,
                )
            except RuntimeError as error:
                self.stop()
                if time.monotonic() > deadline:
                    log = (self.folder / "server.log").read_text(errors="replace")
                    message = f"{error}\n{log[-2000:]}"
                    raise RuntimeError(message) from None
            else:
                return

    def send(self, number: signal.Signals) -> None:
        """Send a signal, e.g. SIGSTOP."""
        if self.process is not None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it gently, or else at once."""
        if self.process is None:
            return
        self.process.terminate()
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@contextmanager
def running(
    command: list[str],
    *,
    folder: Path,
    ready: Callable[[], bool],
    environment: Mapping[str, str] | None = None,
) -> Iterator[ServerProcess]:
    """
    Run a server from *ready* until the end of the context.

    Raises:
        RuntimeError: it did not become ready; the end of its log is in the text.
    """
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "RABBITMQ_", "REDIS_"))
    }
    server = ServerProcess(command, folder, clean | dict(environment or {}), ready)
    try:
        server.start()
        yield server
    finally:
        server.stop()
