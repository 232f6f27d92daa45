"""The kubectl plugin names causes, shows differences, pauses, rotates and reports."""

import base64
import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

import install
import kubectl as k8s
import operators

NAMESPACE: Final = "e2e-plugin"
NAME: Final = "plugin"
READY_SECONDS: Final = 120.0
REACTION_SECONDS: Final = 60.0
CALL_SECONDS: Final = 60.0
ROTATION_SECONDS: Final = 240
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", autouse=True)
def _resource() -> Iterator[None]:
    """Create a HealthIngest, and wait until it is Ready."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    manifest = install.minimal(NAME)
    manifest["spec"]["replicas"] = 1
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", _is_ready, seconds=READY_SECONDS)
    yield
    _scale_operator(2)
    k8s.eventually("two operators", operators.are_ready, seconds=90)
    k8s.remove_namespace(NAMESPACE, wait=False)


def _is_ready() -> bool:
    return k8s.is_ready(k8s.get("healthingest", NAME, NAMESPACE))


def _plugin(command: str, *words: str, seconds: float = CALL_SECONDS) -> tuple[int, str]:
    """Run the plugin, and return its exit code and output."""
    program = [sys.executable, "-m", "healthingest_plugin.main", command, NAME]
    done = subprocess.run(
        [*program, "--namespace", NAMESPACE, *words],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def _cause() -> dict[str, Any]:
    """Return the cause that `explain` names; empty if nothing is wrong."""
    _, text = _plugin("explain", "--output", "json")
    return json.loads(text)["cause"] or {}


def _scale_operator(replicas: int) -> None:
    words = ["scale", f"deployment/{install.RELEASE}", "--namespace", install.OPERATOR]
    k8s.kubectl(*words, f"--replicas={replicas}")


def _broker(host: str) -> dict[str, str]:
    return {
        "managementUrl": f"http://{host}:15672",
        "amqpUrl": f"amqp://{host}:5672",
        "username": "admin",
        "password": install.passwords()["rabbitmq"],
    }


def test_1_a_ready_one_has_no_cause_and_no_difference() -> None:
    """The objects that the plugin builds are those that the operator has applied."""
    code, text = _plugin("status")
    assert code == 0, text
    assert f"Deployment {NAME}-api: 1 of 1 pods available" in text
    assert "Operator: works" in text
    assert _plugin("explain") == (
        0,
        f"HealthIngest {NAMESPACE}/{NAME} is Ready. Nothing is wrong.\n",
    )
    code, text = _plugin("diff")
    assert (code, "would change nothing" in text) == (0, True), text


def test_2_the_service_behind_an_address_is_the_cause() -> None:
    """The broker's address leads to a Service without endpoints."""
    service = {"ports": [{"name": "m", "port": 15672}, {"name": "a", "port": 5672}]}
    k8s.apply(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "empty"}, "spec": service},
        namespace=NAMESPACE,
    )
    k8s.secret("rabbitmq", NAMESPACE, _broker(f"empty.{NAMESPACE}.svc"))
    found = k8s.eventually(
        "ServiceWithoutEndpoints",
        lambda: cause if (cause := _cause()).get("reason") == "ServiceWithoutEndpoints" else None,
        seconds=REACTION_SECONDS,
    )
    assert found["condition"] == "BrokerReady"
    assert found["where"] == f"Service {NAMESPACE}/empty"
    k8s.kubectl(*found["command"].split()[1:])
    k8s.secret("rabbitmq", NAMESPACE, _broker(f"rabbitmq.{install.DEPENDENCIES}.svc"))
    k8s.eventually("Ready=True again", _is_ready, seconds=READY_SECONDS)


def test_3_a_pause_keeps_a_change_that_diff_shows() -> None:
    """After the resume the operator does what `diff` has shown."""
    code, text = _plugin("pause", "--wait")
    assert code == 0, text
    k8s.kubectl("scale", f"deployment/{NAME}-relay", "--replicas=0", "--namespace", NAMESPACE)
    code, text = _plugin("diff")
    assert code == 1
    assert "-  replicas: 0" in text
    assert "+  replicas: 1" in text
    assert _cause()["reason"] == "PausedBySpec"
    code, text = _plugin("resume", "--wait", seconds=READY_SECONDS * 3)
    assert code == 0, text
    code, text = _plugin("diff")
    assert code == 0, text


def test_4_a_rotation_is_waited_for() -> None:
    """Until all pods have the new credentials."""
    before = _service_secret()
    words = ["--wait", "--timeout", f"{ROTATION_SECONDS}s"]
    code, text = _plugin("rotate", *words, seconds=ROTATION_SECONDS + CALL_SECONDS)
    assert code == 0, text
    assert "Done: all pods have the new credentials." in text
    assert _service_secret() != before


def test_5_the_report_has_no_secret(tmp_path: Path) -> None:
    """Of the user's Secrets and of the operator's own, in no form."""
    path = tmp_path / "report.tar.gz"
    code, text = _plugin("report", "--output", str(path))
    assert code == 0, text
    with tarfile.open(path) as archive:
        files = {
            entry.name: content.read().decode()
            for entry in archive.getmembers()
            if (content := archive.extractfile(entry))
        }
    assert any(name.endswith("/api.log") for name in files)
    made = _service_secret().values()
    secrets = {*install.passwords().values(), *(base64.b64decode(value).decode() for value in made)}
    for name, text in files.items():
        assert [secret for secret in secrets if len(secret) > 8 and secret in text] == [], name


def test_6_an_operator_without_pods_is_the_cause() -> None:
    """The status still says Ready, and nothing keeps it so."""
    _scale_operator(0)
    k8s.eventually("no operator", lambda: not operators.pods(), seconds=60)
    assert _cause()["reason"] == "OperatorScaledToZero"
    _scale_operator(2)
    k8s.eventually("two operators", operators.are_ready, seconds=90)
    k8s.eventually("no cause", lambda: not _cause(), seconds=REACTION_SECONDS)


def _service_secret() -> dict[str, str]:
    found = k8s.get("secret", f"{NAME}-service", NAMESPACE)
    assert found is not None
    data: dict[str, str] = found["data"]
    return data
