"""A dependency is missing or wrong: a condition names cause and remedy, and repair is enough."""

import base64
import time
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

import install
import kubectl as k8s
from stopwatch import Stopwatch

NAMESPACE = "e2e-broken"
NAME = "broken"
REACTION_SECONDS = 60.0
HEAL_SECONDS = 90.0
pytestmark = pytest.mark.story


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    manifest["spec"]["replicas"] = 1
    return manifest


@pytest.fixture(scope="module", autouse=True)
def _resource() -> Iterator[None]:
    """Create a HealthIngest whose Secrets exist, except that of the database."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    k8s.kubectl("delete", "secret", "postgres", "--namespace", NAMESPACE)
    k8s.apply(_manifest(), namespace=NAMESPACE)
    yield
    k8s.remove_namespace(NAMESPACE, wait=False)


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, NAMESPACE)


def _says(kind: str, reason: str) -> dict[str, Any] | None:
    """Return the condition, once it is False for this reason and Ready is False too."""
    live = _live()
    found = k8s.condition(live, kind)
    wanted = found.get("status") == "False" and found.get("reason") == reason
    return found if wanted and k8s.condition(live, "Ready").get("status") == "False" else None


def _mended(stopwatch: Stopwatch, what: str) -> None:
    """Wait for Ready after the dependency was repaired, without any other change."""
    began = time.monotonic()
    k8s.eventually("Ready=True again", lambda: k8s.is_ready(_live()), seconds=HEAL_SECONDS)
    stopwatch.record(
        f"{what}: mended to Ready=True", time.monotonic() - began, bound_seconds=HEAL_SECONDS
    )


def _postgres() -> Mapping[str, str]:
    host = f"postgres.{install.DEPENDENCIES}.svc:5432"
    password = install.passwords()["postgres"]
    return {"adminUrl": f"postgresql://admin:{password}@{host}/admin"}


def _broker(**changes: str) -> Mapping[str, str]:
    host = f"rabbitmq.{install.DEPENDENCIES}.svc"
    urls = {"managementUrl": f"http://{host}:15672", "amqpUrl": f"amqp://{host}:5672"}
    return urls | {"username": "admin", "password": install.passwords()["rabbitmq"]} | changes


def test_1_a_missing_secret_is_named(stopwatch: Stopwatch) -> None:
    """
    SecretNotFound has the Secret's name, and no workload is rolled out meanwhile.

    Creating the Secret is enough.
    """
    found = k8s.eventually(
        "SecretNotFound", lambda: _says("SecretsReady", "SecretNotFound"), seconds=REACTION_SECONDS
    )
    assert "postgres" in found["message"]
    assert k8s.items("deployments", NAMESPACE) == []
    k8s.secret("postgres", NAMESPACE, _postgres())
    _mended(stopwatch, "missing secret")


def test_2_a_wrong_password_is_named(stopwatch: Stopwatch) -> None:
    """
    AuthenticationFailed on the broker, without the password in the message.

    The pods are kept meanwhile.
    """
    # S106: wrong on purpose
    k8s.secret("rabbitmq", NAMESPACE, _broker(password="wrong-password"))  # noqa: S106
    _poke("wrong")
    found = k8s.eventually(
        "AuthenticationFailed",
        lambda: _says("BrokerReady", "AuthenticationFailed"),
        seconds=REACTION_SECONDS,
    )
    assert "rabbitmq" in found["message"]
    assert "wrong-password" not in found["message"]
    assert all(
        pod["status"]["phase"] == "Running"
        for pod in k8s.items("pods", NAMESPACE, "app.kubernetes.io/component=api")
    )
    k8s.secret("rabbitmq", NAMESPACE, _broker())
    _mended(stopwatch, "wrong password")


def test_3_an_unreachable_broker_is_named(stopwatch: Stopwatch) -> None:
    """NameNotFound, with the address. The correct address is enough."""
    nowhere = f"http://nowhere.{install.DEPENDENCIES}.svc:15672"
    k8s.secret("rabbitmq", NAMESPACE, _broker(managementUrl=nowhere))
    _poke("nowhere")
    found = k8s.eventually(
        "NameNotFound", lambda: _says("BrokerReady", "NameNotFound"), seconds=REACTION_SECONDS
    )
    assert "nowhere" in found["message"]
    k8s.secret("rabbitmq", NAMESPACE, _broker())
    _mended(stopwatch, "unreachable broker")


def test_4_a_broker_that_takes_no_connection_is_no_ready(stopwatch: Stopwatch) -> None:
    """
    LimitReached on BrokerReady and Ready, although the administrator can log in.

    Removing the limit is enough.
    """
    path = "/api/vhost-limits/broken/max-connections"
    _management("PUT", path, '{"value": 0}')
    try:
        _poke("limit")
        found = k8s.eventually(
            "LimitReached", lambda: _says("BrokerReady", "LimitReached"), seconds=REACTION_SECONDS
        )
        assert "virtual host broken" in found["message"]
    finally:
        _management("DELETE", path, "")
    _mended(stopwatch, "connection limit")


def test_5_no_replicas_are_no_ready(stopwatch: Stopwatch) -> None:
    """ScaledToZero, as long as nothing accepts an upload."""
    words = ("scale", "healthingest", NAME, "--namespace", NAMESPACE)
    k8s.kubectl(*words, "--replicas=0")
    k8s.eventually(
        "ScaledToZero", lambda: _says("WorkloadAvailable", "ScaledToZero"), seconds=REACTION_SECONDS
    )
    k8s.kubectl(*words, "--replicas=1")
    _mended(stopwatch, "no replicas")


def _management(method: str, path: str, body: str) -> None:
    """Call the broker's management API from this machine."""
    login = base64.b64encode(f"admin:{install.passwords()['rabbitmq']}".encode()).decode()
    headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
    with k8s.port_forward("service/rabbitmq", 15672, install.DEPENDENCIES) as port:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}{path}",
            method=method,
            data=body.encode() or None,
            headers=headers,
        )
        with urllib.request.urlopen(request, timeout=20):  # noqa: S310 - the same
            pass


def _poke(word: str) -> None:
    """
    Change an annotation, because a Secret is not watched.

    A Ready resource reads it at its next resync, or when it changes.
    """
    k8s.kubectl(
        "annotate",
        "healthingest",
        NAME,
        "--namespace",
        NAMESPACE,
        f"e2e.example/poke={word}",
        "--overwrite",
    )
