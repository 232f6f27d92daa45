"""
Address and credentials of the Kubernetes API: of the pod, or of a kubeconfig file outside.

Source: Kubernetes docs, "Accessing the Kubernetes API from a Pod". kopf reads the kubeconfig and
makes the TLS context, because it needs both anyway. The `kubernetes` package, which could do the
same, would take a sixth of the operator's memory: see docs/decisions/0085.
"""

import os
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

import kopf
import yaml

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_SECONDS: Final = 60.0
"""Seconds after which the token's file is read again; the kubelet renews it long before its end."""

_UNUSABLE: Final = (OSError, AttributeError, KeyError, TypeError, ValueError)
"""Errors that kopf raises for a file that is missing or has another form."""


class NoAccessError(Exception):
    """There are no credentials for the Kubernetes API, or none that the operator can use."""


def read_access(
    environment: Mapping[str, str] = os.environ, folder: Path = SERVICE_ACCOUNT
) -> kopf.ConnectionInfo:
    """
    Return the address and the present credentials: in a pod those of its service account.

    *folder* is where the kubelet mounts them.

    Raises:
        NoAccessError: there are none, or they need a program that the operator does not run.
    """
    host = environment.get("KUBERNETES_SERVICE_HOST")
    if not host:
        return _of_kubeconfig()
    port = environment.get("KUBERNETES_SERVICE_PORT", "443")
    try:
        token = _token(folder)
    except OSError as error:
        message = f"the pod has no token of a service account: {type(error).__name__}"
        raise NoAccessError(message) from error
    return kopf.ConnectionInfo(
        server=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}",
        ca_path=str(folder / "ca.crt"),
        token=token,
    )


def _of_kubeconfig() -> kopf.ConnectionInfo:
    try:
        found = kopf.login_with_kubeconfig(settings=kopf.OperatorSettings())
    except (*_UNUSABLE, yaml.YAMLError, kopf.LoginError) as error:
        message = f"the kubeconfig is unusable: {type(error).__name__}"
        # An error of the parser quotes the file, which may hold a token.
        raise NoAccessError(message) from None
    if found is None:
        message = "this is no pod, and neither KUBECONFIG nor ~/.kube/config names a kubeconfig"
        raise NoAccessError(message)
    if found.server.startswith("https:") and not (
        found.token or found.username or found.certificate_path or found.certificate_data
    ):
        message = (
            "the user of the kubeconfig has no token, certificate or password, and the operator"
            " runs no login program; run `kubectl proxy`, and name its address as the server of a"
            " kubeconfig"
        )
        raise NoAccessError(message)
    return found


def _token(folder: Path) -> str:
    return (folder / "token").read_text(encoding="utf-8").strip()


class Credentials:
    """
    The header with the credentials of *read*; in a pod the kubelet renews the token.

    *clock* gives monotonic seconds.
    """

    def __init__(
        self,
        read: Callable[[], kopf.ConnectionInfo] = read_access,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._headers = read().as_http_headers()
        self._read_at = clock()

    def headers(self) -> dict[str, str]:
        """Return the header, which is read again after `TOKEN_SECONDS`; an unreadable one stays."""
        now = self._clock()
        if now - self._read_at >= TOKEN_SECONDS:
            self._read_at = now
            with suppress(NoAccessError):
                self._headers = self._read().as_http_headers()
        return self._headers
