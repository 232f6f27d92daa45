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


@contextmanager
def proxy(options: KubectlOptions) -> Iterator[Proxy]:
    """
    Run `kubectl proxy` within.

    Raises:
        KubectlError: kubectl is not on PATH, or its kubeconfig names no cluster.
    """
    program = shutil.which("kubectl")
    if program is None:
        message = "kubectl is not on PATH: install it, or add its folder to PATH"
        raise KubectlError(message)
    # Only this user may enter the folder, so only this user can use the socket.
    with (
        tempfile.TemporaryDirectory(prefix="healthingest-") as folder,
        Path(folder, "errors").open("w+b") as errors,
    ):
        path = Path(folder, "api")
        served = [f"--unix-socket={path}", "--append-server-path=true"]
        command = [program, *options.words, "proxy", *served]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=errors)  # noqa: S603 - kubectl itself
        try:
            namespace = _namespace(program, options)
            _wait(process, path, Path(folder, "errors"))
            yield Proxy(path, namespace)
        finally:
            _stop(process)


def versions(options: KubectlOptions) -> str:
    """Return the version of kubectl."""
    program = shutil.which("kubectl") or "kubectl"
    done = _run([program, *options.words, "version", "--client", "--output=json"])
    with suppress(ValueError, KeyError):
        return str(json.loads(done.stdout)["clientVersion"]["gitVersion"])
    return "unknown"


def _namespace(program: str, options: KubectlOptions) -> str:
    """
    Return the namespace of the context.

    Raises:
        KubectlError: no context is selected.
    """
    done = _run([program, *options.words, "config", "view", "--minify", "--output=json"])
    if done.returncode:
        if "KUBERNETES_SERVICE_HOST" in os.environ and _SERVICE_ACCOUNT.exists():
            return _SERVICE_ACCOUNT.read_text(encoding="utf-8").strip()
        place = options.kubeconfig or os.environ.get("KUBECONFIG") or "~/.kube/config"
        message = (
            f"kubeconfig {place}: {_last_line(done.stderr)}: name a file with --kubeconfig or"
            " $KUBECONFIG, and a context of it with --context"
        )
        raise KubectlError(message)
    with suppress(ValueError, KeyError, IndexError, TypeError):
        context = json.loads(done.stdout)["contexts"][0]["context"]
        return context.get("namespace") or "default"
    return "default"


def _run(command: list[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(  # noqa: S603 - kubectl itself
            command, capture_output=True, text=True, timeout=START_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        message = f"kubectl does not answer within {START_SECONDS:.0f} s: try kubectl version"
        raise KubectlError(message) from error


def _wait(process: subprocess.Popen[bytes], path: Path, errors: Path) -> None:
    """Return when the proxy accepts connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            text = errors.read_text(encoding="utf-8", errors="replace")
            message = (
                f"kubectl proxy: {_last_line(text)}: check the kubeconfig with kubectl version"
            )
            raise KubectlError(message)
        with socket.socket(socket.AF_UNIX) as client, suppress(OSError):
            client.settimeout(1.0)
            client.connect(str(path))
            return
        time.sleep(_POLL_SECONDS)
    message = f"kubectl proxy did not start within {START_SECONDS:.0f} s: try kubectl version"
    raise KubectlError(message)


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ")[:_WORDS] if lines else "no reason given"
