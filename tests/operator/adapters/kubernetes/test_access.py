"""Where the address and the credentials of the Kubernetes API come from."""

import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from healthingest_operator.adapters.kubernetes.access import (
    TOKEN_SECONDS,
    Credentials,
    NoAccessError,
    read_access,
)

IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "6443"}
OUTSIDE: Mapping[str, str] = {}


@pytest.fixture(name="kubeconfig")
def _kubeconfig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "kubeconfig"
    monkeypatch.setenv("KUBECONFIG", str(path))
    return path


def _written(path: Path, user: dict[str, Any], server: str = "https://api.example:6443") -> None:
    config = {
        "clusters": [{"name": "a", "cluster": {"server": server}}],
        "users": [{"name": "b", "user": user}],
        "contexts": [{"name": "c", "context": {"cluster": "a", "user": "b"}}],
        "current-context": "c",
    }
    path.write_text(yaml.safe_dump(config))


def test_a_pod_uses_its_service_account(tmp_path: Path) -> None:
    """Even if a kubeconfig exists; the address is that of the environment."""
    (tmp_path / "token").write_text("first\n")
    found = read_access(IN_A_POD, tmp_path)
    assert found.server == "https://10.0.0.1:6443"
    assert found.as_http_headers() == {"Authorization": "Bearer first"}
    assert found.ca_path == str(tmp_path / "ca.crt")


def test_an_address_of_ipv6_stands_in_brackets(tmp_path: Path) -> None:
    """As in every URL."""
    (tmp_path / "token").write_text("first")
    found = read_access({"KUBERNETES_SERVICE_HOST": "fd00::1"}, tmp_path)
    assert found.server == "https://[fd00::1]:443"


def test_a_renewed_token_is_used(tmp_path: Path) -> None:
    """Within a minute; a token that is unreadable for a moment changes nothing."""
    token = tmp_path / "token"
    token.write_text("first")
    now = 0.0
    credentials = Credentials(lambda: read_access(IN_A_POD, tmp_path), lambda: now)
    token.write_text("second")
    assert credentials.headers() == {"Authorization": "Bearer first"}
    now = TOKEN_SECONDS
    assert credentials.headers() == {"Authorization": "Bearer second"}
    token.unlink()
    now = 2 * TOKEN_SECONDS
    assert credentials.headers() == {"Authorization": "Bearer second"}


def test_a_pod_without_a_token_has_no_access(tmp_path: Path) -> None:
    """The message says what is missing."""
    with pytest.raises(NoAccessError, match="no token of a service account"):
        read_access(IN_A_POD, tmp_path)


def test_a_kubeconfig_is_used_outside(kubeconfig: Path) -> None:
    """With its token."""
    _written(kubeconfig, {"token": "mine"})
    found = read_access(OUTSIDE)
    assert found.server == "https://api.example:6443"
    assert found.as_http_headers() == {"Authorization": "Bearer mine"}


def test_a_login_program_is_not_run(kubeconfig: Path) -> None:
    """The message names the way around it, which has no user."""
    _written(kubeconfig, {"exec": {"command": "login"}})
    with pytest.raises(NoAccessError, match="kubectl proxy"):
        read_access(OUTSIDE)
    _written(kubeconfig, {}, "http://127.0.0.1:8001")
    assert read_access(OUTSIDE).as_http_headers() == {}


@pytest.mark.parametrize("text", ["token: 'secret", "current-context: secret", "secret"])
def test_an_unusable_kubeconfig_is_not_quoted(kubeconfig: Path, text: str) -> None:
    """It may hold a token."""
    kubeconfig.write_text(text)
    with pytest.raises(NoAccessError) as refused:
        read_access(OUTSIDE)
    assert "unusable" in str(refused.value)
    assert "secret" not in "".join(traceback.format_exception(refused.value))


def test_a_kubeconfig_may_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says where it is looked for."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(NoAccessError, match="KUBECONFIG"):
        read_access(OUTSIDE)
