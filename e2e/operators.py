"""The operator's pods: leader, log lines, killing and freezing as a failing node would."""

import json
import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

import install
import kubectl as k8s

SELECTOR: Final = f"app.kubernetes.io/name={install.RELEASE}"
NODE_NAMESPACE: Final = "e2e-node"
NODE_POD: Final = "signals"
_LOOK_SECONDS: Final = 0.5
_SEND: Final = """
import os, pathlib, sys
pod, number = sys.argv[1], int(sys.argv[2])
found = []
for folder in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        words = (folder / "environ").read_bytes().split(b"\\0")
        command = (folder / "cmdline").read_bytes()
        if b"HOSTNAME=" + pod.encode() in words and b"healthingest_" in command:
            found.append(int(folder.name))
    except OSError:
        pass
for pid in found:
    os.kill(pid, number)
sys.exit(not found)
"""


def pods() -> list[dict[str, Any]]:
    """Return the pods that are not terminating."""
    found = k8s.items("pods", install.OPERATOR, SELECTOR)
    return [pod for pod in found if not pod["metadata"].get("deletionTimestamp")]


def are_ready(count: int = 2) -> bool:
    """Whether there are *count* pods and all are ready."""
    found = pods()
    return len(found) == count and all(
        k8s.condition(pod, "Ready").get("status") == "True" for pod in found
    )


def leader() -> str:
    """Return the pod that the Lease names, or "" if it names none."""
    lease = k8s.get("lease", install.RELEASE, install.OPERATOR) or {"spec": {}}
    holder: str = lease["spec"].get("holderIdentity") or ""
    return holder.rpartition("-")[0]


def restarts(pod: str) -> int:
    """Return how often its container was restarted."""
    found = k8s.get("pod", pod, install.OPERATOR) or {}
    return sum(int(status["restartCount"]) for status in found["status"]["containerStatuses"])


def remove(pod: str) -> None:
    """Delete its object immediately, so that its container is not restarted."""
    k8s.kubectl(
        "delete",
        "pod",
        pod,
        "--namespace",
        install.OPERATOR,
        "--grace-period=0",
        "--force",
        "--wait=false",
    )


class Signals:
    """
    Sends signals to our processes in a pod from outside the container, where none can be ignored.

    The kernel ignores SIGKILL and SIGSTOP that a container sends to its own first process. Deleting
    the pod would send SIGTERM first, and the leader would release its Lease.
    """

    def __init__(self, node: str) -> None:
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        k8s.apply(
            {
                "apiVersion": "v1",
                "kind": "Namespace",
                "metadata": {"name": NODE_NAMESPACE, "labels": labels},
            }
        )
        container = {
            "name": NODE_POD,
            "image": install.images()["operator"],
            "imagePullPolicy": "IfNotPresent",
            "command": ["python", "-c", "import signal; signal.pause()"],
            "securityContext": {"privileged": True, "runAsUser": 0},
        }
        spec = {
            "nodeName": node,
            "hostPID": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
        }
        metadata = {"name": NODE_POD, "namespace": NODE_NAMESPACE}
        k8s.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
        words = [
            "wait",
            f"pod/{NODE_POD}",
            "--namespace",
            NODE_NAMESPACE,
            "--for=condition=Ready",
            "--timeout=60s",
        ]
        k8s.kubectl(*words, seconds=70)

    def send(self, pod: str, number: signal.Signals) -> None:
        """Send a signal to the processes of operator or service in this pod."""
        words = [
            "exec",
            NODE_POD,
            "--namespace",
            NODE_NAMESPACE,
            "--",
            "python",
            "-c",
            _SEND,
            pod,
            str(int(number)),
        ]
        k8s.kubectl(*words)


@contextmanager
def signals() -> Iterator[Signals]:
    """Yield `Signals`; its pods are deleted afterwards, because they see all processes."""
    try:
        yield Signals(pods()[0]["spec"]["nodeName"])
    finally:
        k8s.kubectl(
            "delete", "namespace", NODE_NAMESPACE, "--ignore-not-found", "--timeout=60s", seconds=70
        )


@dataclass(frozen=True)
class Line:
    """One line of a log; *began* and *at* are equal for events without duration."""

    pod: str
    event: str
    began: float
    at: float
    fields: Mapping[str, Any]


class Journal:
    """The log lines of all operators from its creation on, also of those that end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._followed: dict[Path, subprocess.Popen[bytes]] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join(timeout=30)
        for process in self._followed.values():
            process.kill()
            process.wait(timeout=10)

    def lines(self, event: str = "") -> list[Line]:
        """Return all lines so far, or those of one event, by time."""
        found = [
            _line(path, text)
            for path in list(self._followed)
            for text in path.read_text().splitlines()
        ]
        return sorted(
            (line for line in found if line and event in {"", line.event}), key=lambda line: line.at
        )

    def _follow(self) -> None:
        while not self._ended.wait(_LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        """Follow each new container once."""
        for pod in k8s.items("pods", install.OPERATOR, SELECTOR):
            for status in (pod.get("status") or {}).get("containerStatuses") or []:
                name = pod["metadata"]["name"]
                number = status["restartCount"]
                path = self._folder / f"{name}.{number}"
                if path not in self._followed and "running" in status["state"]:
                    words = [
                        "kubectl",
                        "logs",
                        "--follow",
                        name,
                        "--namespace",
                        install.OPERATOR,
                        "--since=10s",
                    ]
                    with path.open("wb") as file:
                        self._followed[path] = subprocess.Popen(
                            words, stdout=file, stderr=subprocess.DEVNULL
                        )


@contextmanager
def journal() -> Iterator[Journal]:
    """Follow the operators' logs while the context is open."""
    with tempfile.TemporaryDirectory() as folder, Journal(Path(folder)) as found:
        yield found


def _line(path: Path, text: str) -> Line | None:
    try:
        fields = json.loads(text)
        at = datetime.fromisoformat(fields["timestamp"]).timestamp()
    except (ValueError, KeyError, TypeError):
        return None
    lasted = float(fields.get("duration_seconds", 0.0))
    return Line(path.name.rpartition(".")[0], fields.get("event", ""), at - lasted, at, fields)


def audited_writes(since: float) -> list[tuple[float, str]] | None:
    """
    Return time and pod of each write of the operators, except of the Lease.

    None if the API server has no `AUDIT_LOG`.
    """
    path = os.environ.get("AUDIT_LOG")
    if not path:
        return None
    found = []
    for text in Path(path).read_text().splitlines():
        entry = json.loads(text)
        names = entry["user"].get("extra", {}).get("authentication.kubernetes.io/pod-name", [])
        at = datetime.fromisoformat(entry["requestReceivedTimestamp"]).timestamp()
        writes = entry["verb"] in {"create", "update", "patch", "delete"}
        is_lease = entry.get("objectRef", {}).get("resource") == "leases"
        if (
            writes
            and not is_lease
            and at >= since
            and any(name.startswith(install.RELEASE) for name in names)
        ):
            found.append((at, names[0]))
    return sorted(found)
