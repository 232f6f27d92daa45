"""
A Kubernetes control plane without nodes.

Etcd and kube-apiserver, found through `KUBEBUILDER_ASSETS`.

The variable is the field's convention (controller-runtime's envtest); `setup-envtest use -p path`
prints such a folder.
"""

import base64
import os
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from support.servers.process import ServerUnavailableError, as_user, free_port, running, work_folder

TOKEN = "apiserver-test-token"
READY_SECONDS = 5


@dataclass(frozen=True)
class ApiServer:
    """
    A running apiserver (RBAC on).

    `kubeconfig` is that of an administrator; `kubectl` is the matching program.
    """

    url: str
    kubeconfig: Path
    kubectl: str
    certificate_authority: Path
    token: str = TOKEN


@contextmanager
def apiserver() -> Iterator[ApiServer]:
    """
    A control plane on free ports.

    Raises:
        ServerUnavailableError: `KUBEBUILDER_ASSETS` names no folder with the programs.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS", "")
    names = ("etcd", "kube-apiserver", "kubectl")
    if not assets or not all((Path(assets) / name).exists() for name in names):
        message = "KUBEBUILDER_ASSETS names no folder with etcd, kube-apiserver and kubectl"
        raise ServerUnavailableError(message)
    etcd, server, kubectl = (str(Path(assets) / name) for name in names)
    with work_folder(None) as folder, ExitStack() as stack:
        etcd_url = stack.enter_context(_etcd(etcd, folder / "etcd"))
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        command = [*as_user(None), server, *_flags(folder, etcd_url, port)]
        stack.enter_context(running(command, folder=folder, ready=lambda: _healthy(url, folder)))
        yield ApiServer(
            url, _kubeconfig(folder, url), kubectl, folder / "certificates" / "apiserver.crt"
        )


@contextmanager
def _etcd(binary: str, folder: Path) -> Iterator[str]:
    folder.mkdir()
    client = f"http://127.0.0.1:{free_port()}"
    peer = f"http://127.0.0.1:{free_port()}"
    options = {
        "--data-dir": str(folder / "data"),
        "--listen-client-urls": client,
        "--advertise-client-urls": client,
        "--listen-peer-urls": peer,
        "--initial-advertise-peer-urls": peer,
        "--initial-cluster": f"default={peer}",
        "--unsafe-no-fsync": "true",
    }
    command = [*as_user(None), binary, *(f"{name}={value}" for name, value in options.items())]
    with running(command, folder=folder, ready=lambda: _ok(f"{client}/health", None)):
        yield client


def _flags(folder: Path, etcd_url: str, port: int) -> list[str]:
    key = folder / "service-account.key"
    key.write_bytes(
        rsa.generate_private_key(public_exponent=65537, key_size=2048).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    tokens = folder / "tokens.csv"
    tokens.write_text(f"{TOKEN},administrator,administrator,system:masters\n")
    options = {
        "etcd-servers": etcd_url,
        "bind-address": "127.0.0.1",
        "secure-port": port,
        "cert-dir": folder / "certificates",
        "authorization-mode": "RBAC",
        "token-auth-file": tokens,
        "service-cluster-ip-range": "10.0.0.0/16",
        "service-account-issuer": "https://kubernetes.default.svc",
        "service-account-key-file": key,
        "service-account-signing-key-file": key,
        "disable-admission-plugins": "ServiceAccount",  # no controller makes their tokens here
    }
    return [f"--{name}={value}" for name, value in options.items()]


def _kubeconfig(folder: Path, url: str) -> Path:
    authority = base64.b64encode((folder / "certificates" / "apiserver.crt").read_bytes()).decode()
    path = folder / "kubeconfig"
    cluster = {"server": url, "certificate-authority-data": authority}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "administrator", "user": {"token": TOKEN}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "administrator"}}],
        "current-context": "test",
    }
    path.write_text(yaml.safe_dump(config))
    return path


def _healthy(url: str, folder: Path) -> bool:
    authority = folder / "certificates" / "apiserver.crt"
    return authority.exists() and _ok(f"{url}/readyz", authority)


def _ok(url: str, authority: Path | None) -> bool:
    try:
        context = ssl.create_default_context(cafile=str(authority)) if authority else None
        # S310: our own server
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {TOKEN}"})  # noqa: S310
        # S310: the same
        with urllib.request.urlopen(request, timeout=READY_SECONDS, context=context) as answer:  # noqa: S310
            return int(answer.status) == 200
    except (OSError, urllib.error.URLError, ssl.SSLError):
        return False
