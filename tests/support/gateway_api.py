"""The Gateway API for tests: its own definitions, or a small one of the kind HTTPRoute."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml

from support.control_plane import attempt, kubectl
from support.deadlines import HANG_SECONDS
from support.servers.apiserver import ApiServer
from support.servers.go_programs import GATEWAY_API

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
    """Return the definition of the published Gateway API; None: `make servers` did not get it."""
    folder = GATEWAY_API.find()
    if folder is None:
        return None
    file = folder / "config/crd/standard/gateway.networking.k8s.io_httproutes.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
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
