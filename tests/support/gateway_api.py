"""The Gateway API for tests: its own definitions, or a small one of the kind HTTPRoute."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from support.control_plane import attempt, kubectl
from support.deadlines import HANG_SECONDS
from support.servers.apiserver import ApiServer

NAME: Final = "httproutes.gateway.networking.k8s.io"
_APPROVED: Final = {"api-approved.kubernetes.io": "unapproved, a test"}
SMALL: Final[dict[str, Any]] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": NAME, "annotations": _APPROVED},
    "spec": {
        "group": "gateway.networking.k8s.io",
        "names": {"kind": "HTTPRoute", "plural": "httproutes"},
        "scope": "Namespaced",
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                    }
                },
            }
        ],
    },
}


def published() -> dict[str, Any] | None:
    """Return the newest definition in the cache of Go modules; None: there is none."""
    go = shutil.which("go")
    if go is None:
        return None
    done = subprocess.run(
        [go, "env", "GOMODCACHE"], capture_output=True, text=True, timeout=30, check=True
    )
    folder = Path(done.stdout.strip()) / "sigs.k8s.io"
    file = "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
    files = sorted(folder.glob(f"gateway-api@*/{file}"))
    if not files:
        return None
    found: dict[str, Any] = yaml.safe_load(files[-1].read_text(encoding="utf-8"))
    return found


@contextmanager
def installed(server: ApiServer, definition: dict[str, Any]) -> Iterator[None]:
    """Let the API server have the kind, and remove it afterwards."""
    kubectl(server, "apply", "--server-side", "-f", "-", given=definition)
    try:
        deadline = time.monotonic() + HANG_SECONDS
        # Established or not, the storage of a new kind refuses requests for a moment.
        while (done := attempt(server, "get", NAME, "--all-namespaces")).returncode != 0:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(0.2)  # the pause of a poll
        yield
    finally:
        kubectl(server, "delete", "crd", NAME, "--timeout=30s")
