"""The development loop: commands of the Tiltfile, and a module that changes in a running pod."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import install
import kubectl as k8s
from stopwatch import Stopwatch

NAMESPACE, NAME = "e2e-loop", "loop"
ROOT = Path(__file__).resolve().parents[1]
MODULE = ROOT / "service" / "healthingest_service" / "api" / "app.py"
LIVE = "/tmp/live/healthingest_service/api/app.py"  # noqa: S108 - in the pod
READY_SECONDS = 120.0
CHANGED_SECONDS = 60.0
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    """A HealthIngest with the image of the loop."""
    k8s.remove_namespace(NAMESPACE)
    # The command of the resource `dependencies`
    command = [sys.executable, str(ROOT / "e2e" / "install.py"), "--namespace", NAMESPACE]
    subprocess.run(command, check=True, timeout=300)
    manifest = install.minimal(NAME)
    manifest["spec"] |= {
        "image": "healthingest-service:live",
        "replicas": 1,
        "documentation": {"openapi": True},
    }
    k8s.apply(manifest, namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_the_button_shows_receipt_and_message() -> None:
    """The command of the resource `upload-a-sample`."""
    command = [sys.executable, str(ROOT / "e2e" / "kind" / "upload_sample.py")]
    words = ["--namespace", NAMESPACE, "--name", NAME]
    done = subprocess.run(
        [*command, *words], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    receipt, _, message = done.stdout.partition("\nmessage ")
    assert receipt.startswith("receipt {")
    assert '"record_type": "BloodGlucoseRecord"' in message


def test_2_a_changed_module_runs_in_the_same_pod(stopwatch: Stopwatch, tmp_path: Path) -> None:
    """It is copied as Tilt copies it, by `tar` in the container, and the process restarts."""
    (pod,) = k8s.items("pods", NAMESPACE, "app.kubernetes.io/component=api")
    before = _title()
    changed = tmp_path / "app.py"
    text = MODULE.read_text(encoding="utf-8")
    assert f'"{before}"' in text
    changed.write_text(text.replace(f'"{before}"', '"Changed"'), encoding="utf-8")
    target = f"{NAMESPACE}/{pod['metadata']['name']}:{LIVE}"
    k8s.kubectl("cp", str(changed), target, "--container", "api")
    began = time.monotonic()
    k8s.eventually("the new title", lambda: _title() == "Changed", seconds=CHANGED_SECONDS)
    waited = time.monotonic() - began
    stopwatch.record("a changed module answers", waited, bound_seconds=CHANGED_SECONDS)
    (after,) = k8s.items("pods", NAMESPACE, "app.kubernetes.io/component=api")
    assert after["metadata"]["uid"] == pod["metadata"]["uid"]
    assert after["status"]["containerStatuses"][0]["restartCount"] == 0


def _live() -> dict[str, Any] | None:
    return k8s.get("healthingest", NAME, NAMESPACE)


def _title() -> str:
    """Return the title of the API; empty while it does not answer."""
    try:
        # The command of the resource `upload-api`
        with k8s.port_forward(f"service/{NAME}", 80, NAMESPACE) as port:
            answer = httpx.get(f"http://127.0.0.1:{port}/openapi.json", timeout=5.0)
    except (httpx.TransportError, k8s.CommandError):
        return ""
    return str(answer.json()["info"]["title"]) if answer.is_success else ""
