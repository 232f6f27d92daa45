"""Helm against the private API server: objects are created, but no pod starts."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from support.servers.apiserver import ApiServer

CHART: Final = Path(__file__).parents[2] / "charts" / "healthingest-operator"
_SECONDS: Final = 120


def program() -> str:
    """Return the path of Helm, or skip the test."""
    found = shutil.which("helm")
    if found is None:
        pytest.skip("no `helm` on PATH")
    return found


def attempt(
    server: ApiServer, folder: Path, *words: str, user: str = ""
) -> "subprocess.CompletedProcess[str]":
    """Run Helm as the administrator or as *user*, with its own files in *folder*."""
    environment = os.environ | {
        "KUBECONFIG": str(server.kubeconfig),
        "HELM_CACHE_HOME": str(folder / "cache"),
        "HELM_CONFIG_HOME": str(folder / "config"),
        "HELM_DATA_HOME": str(folder / "data"),
    }
    command = [program(), *words, *(["--kube-as-user", user] if user else [])]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=environment
    )
