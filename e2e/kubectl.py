"""The cluster as users access it: through kubectl and `KUBECONFIG`."""

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

CALL_SECONDS = 60.0
POLL_SECONDS = 0.25

Value = TypeVar("Value")


class CommandError(Exception):
    """A command failed; `text` is its output."""

    def __init__(self, words: Sequence[str], text: str) -> None:
        super().__init__(f"{' '.join(words[:4])}…: {text.strip()[-2000:]}")
        self.text = text


def run(*words: str, stdin: str | None = None, seconds: float = CALL_SECONDS) -> str:
    """
    Run a command, and return its standard output.

    Raises:
        CommandError: it failed.
    """
    done = subprocess.run(
        words, input=stdin, capture_output=True, text=True, timeout=seconds, check=False
    )
    if done.returncode:
        raise CommandError(words, done.stderr + done.stdout)
    return done.stdout


def kubectl(*words: str, stdin: str | None = None, seconds: float = CALL_SECONDS) -> str:
    """Run kubectl; see `run`."""
    return run("kubectl", *words, stdin=stdin, seconds=seconds)


def apply(manifest: str | Path | Mapping[str, Any], *, namespace: str | None = None) -> None:
    """Apply a file, a folder, a text or an object."""
    scope = ["--namespace", namespace] if namespace else []
    if isinstance(manifest, Path):
        kubectl("apply", *scope, "--filename", str(manifest))
    else:
        text = manifest if isinstance(manifest, str) else json.dumps(manifest)
        kubectl("apply", *scope, "--filename", "-", stdin=text)


def get(kind: str, name: str, namespace: str) -> dict[str, Any] | None:
    """Return an object, or None if it does not exist."""
    text = kubectl(
        "get", kind, name, "--namespace", namespace, "--output", "json", "--ignore-not-found"
    )
    return json.loads(text) if text else None


def items(kind: str, namespace: str, selector: str = "") -> list[dict[str, Any]]:
    """Return the objects of a namespace."""
    words = ["get", kind, "--namespace", namespace, "--output", "json"]
    found: list[dict[str, Any]] = json.loads(
        kubectl(*words, *(["--selector", selector] if selector else []))
    )["items"]
    return found


def secret(name: str, namespace: str, values: Mapping[str, str]) -> None:
    """Create or change a Secret."""
    metadata = {"name": name, "namespace": namespace}
    apply({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(values)})


def namespace(name: str) -> None:
    """Create a namespace with PodSecurity `restricted`."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})


def remove_namespace(name: str, *, wait: bool = True) -> None:
    """
    Delete a namespace.

    Its HealthIngests are deleted first, while the Secrets that the operator needs still exist.
    """
    if get("namespace", name, "default") is not None:
        kubectl(
            "delete", "healthingests", "--all", "--namespace", name, "--timeout=100s", seconds=110
        )
        kubectl(
            "delete",
            "namespace",
            name,
            "--timeout=100s",
            f"--wait={str(wait).lower()}",
            seconds=110,
        )


def eventually(what: str, look: Callable[[], Value | None], *, seconds: float) -> Value:
    """
    Call *look* until it returns a true value, and return that.

    Raises:
        AssertionError: it did not within *seconds*.
    """
    deadline = time.monotonic() + seconds
    while True:
        seen = look()
        if seen:
            return seen
        if time.monotonic() > deadline:
            message = f"not within {seconds} s: {what}"
            raise AssertionError(message)
        time.sleep(POLL_SECONDS)


def condition(body: Mapping[str, Any] | None, kind: str) -> dict[str, Any]:
    """Return a condition of an object's status, or an empty one."""
    status = (body or {}).get("status") or {}
    return next((entry for entry in status.get("conditions", []) if entry["type"] == kind), {})


def is_ready(body: Mapping[str, Any] | None) -> bool:
    """Whether `Ready` is True for the current generation."""
    ready = condition(body, "Ready")
    generation = (body or {}).get("metadata", {}).get("generation")
    return ready.get("status") == "True" and ready.get("observedGeneration") == generation


@contextmanager
def port_forward(target: str, port: int, namespace: str) -> Iterator[int]:
    """Forward a local port to *port* of `service/…` or `pod/…`; works on any cluster."""
    words = [
        "kubectl",
        "port-forward",
        target,
        f":{port}",
        "--namespace",
        namespace,
        "--address",
        "127.0.0.1",
    ]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline() if process.stdout else ""
        match = re.search(r"127\.0\.0\.1:(\d+)", line)
        if match is None:
            process.kill()
            raise CommandError(words, process.communicate(timeout=10)[1])
        yield int(match[1])
    finally:
        process.kill()
        process.communicate(timeout=10)
