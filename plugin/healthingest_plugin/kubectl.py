"""
Access to the API server as kubectl has it: through `kubectl proxy` on a private Unix socket.

So every kubeconfig that works for kubectl works here, with contexts, exec plug-ins, client
certificates, proxies and impersonation (`docs/decisions/0050`).
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from healthingest_plugin.errors import KubectlError

START_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0
_POLL_SECONDS: Final = 0.01
_SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WORDS: Final = 300
_LATE: Final = f"kubectl does not start within {START_SECONDS:.0f} s: try kubectl version"


@dataclass(frozen=True, slots=True)
class KubectlOptions:
    """The options of kubectl that choose cluster and user; None: as kubectl itself chooses."""

    kubeconfig: str | None = None
    context: str | None = None
    cluster: str | None = None
    user: str | None = None
    impersonate: str | None = None

    @property
    def words(self) -> list[str]:
        """The options of the command line."""
        named = {
            "--kubeconfig": self.kubeconfig,
            "--context": self.context,
            "--cluster": self.cluster,
            "--user": self.user,
            "--as": self.impersonate,
        }
        return [f"{name}={value}" for name, value in named.items() if value]


@dataclass(frozen=True, slots=True)
class Proxy:
    """A running `kubectl proxy`; `namespace` is that of the context."""

    socket: Path
    namespace: str


class StartingProxy:
    """A `kubectl proxy` that starts, and beside it the question for the context."""

    def __init__(self, folder: Path, program: str, options: KubectlOptions) -> None:
        self._options = options
        self._socket = folder / "api"
        self._errors = folder / "errors"
        served = [f"--unix-socket={self._socket}", "--append-server-path=true"]
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - kubectl itself
                [program, *options.words, "proxy", *served],
                stdout=subprocess.DEVNULL,
                stderr=errors,
            )
        self._context = subprocess.Popen(  # noqa: S603 - the same
            [program, *options.words, "config", "view", "--minify", "--output=json"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> Proxy:
        """
        Return the proxy when it accepts connections.

        Raises:
            KubectlError: the kubeconfig names no cluster, or kubectl does not start in time.
        """
        try:
            text, errors = self._context.communicate(timeout=START_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise KubectlError(_LATE) from error
        if self._context.returncode:
            namespace = _without_context(self._options, errors)
        else:
            namespace = _namespace(text)
        self._wait()
        return Proxy(self._socket, namespace)

    def stop(self) -> None:
        """End both processes."""
        for process in (self._context, self._process):
            process.terminate()
            try:
                process.wait(timeout=STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for stream in (self._context.stdout, self._context.stderr):
            if stream is not None:
                stream.close()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                text = self._errors.read_text(encoding="utf-8", errors="replace")
                message = (
                    f"kubectl proxy: {_last_line(text)}: check the kubeconfig with kubectl version"
                )
                raise KubectlError(message)
            with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
                client.settimeout(1.0)
                client.connect(str(self._socket))
                return
            time.sleep(_POLL_SECONDS)
        raise KubectlError(_LATE)


@contextmanager
def proxy(options: KubectlOptions) -> Iterator[StartingProxy]:
    """
    Run `kubectl proxy` within.

    Raises:
        KubectlError: kubectl is not on PATH.
    """
    program = shutil.which("kubectl")
    if program is None:
        message = "kubectl is not on PATH: install it, or add its folder to PATH"
        raise KubectlError(message)
    # Only this user may enter the folder, so only this user can use the socket.
    with tempfile.TemporaryDirectory(prefix="healthingest-") as folder:
        starting = StartingProxy(Path(folder), program, options)
        try:
            yield starting
        finally:
            starting.stop()


def versions(options: KubectlOptions) -> str:
    """Return the version of kubectl."""
    program = shutil.which("kubectl") or "kubectl"
    command = [program, *options.words, "version", "--client", "--output=json"]
    with suppress(OSError, subprocess.TimeoutExpired, ValueError, KeyError):
        done = subprocess.run(  # noqa: S603 - kubectl itself
            command, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    return "unknown"


def _without_context(options: KubectlOptions, errors: str) -> str:
    """
    Return the namespace of the pod that the plugin runs in.

    Raises:
        KubectlError: it runs in no pod, so a context is missing.
    """
    if "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_ACCOUNT.exists():
        return _SERVICE_ACCOUNT.read_text(encoding="utf-8").strip()
    place = options.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
    message = (
        f"kubeconfig {place}: {_last_line(errors)}: name a file with --kubeconfig or $KUBECONFIG,"
        " and a context of it with --context"
    )
    raise KubectlError(message)


def _namespace(config: str) -> str:
    with suppress(ValueError, KeyError, IndexError, TypeError):
        context = json.loads(config)["contexts"][0]["context"]
        return context.get("namespace") or "default"
    return "default"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ")[:_WORDS] if lines else "no reason given"
