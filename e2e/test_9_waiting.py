"""Without an operator, tools wait, and a deletion hangs until an operator is back."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import install
import kubectl as k8s
import operators

NAMESPACE: Final = "e2e-waiting"
NAME: Final = "waiting"
READY_SECONDS: Final = 150
pytestmark = pytest.mark.story


@pytest.fixture(scope="module", name="chart")
def _chart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's chart with one HealthIngest."""
    folder = tmp_path_factory.mktemp("chart")
    (folder / "templates").mkdir()
    (folder / "Chart.yaml").write_text("{apiVersion: v2, name: waiting, version: 1.0.0}\n")
    (folder / "templates" / "healthingest.yaml").write_text(json.dumps(install.minimal(NAME)))
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_operator() -> Iterator[None]:
    """The operator has no pods; afterwards it has them again."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    _scale(0)
    k8s.eventually("no operator", lambda: not operators.pods(), seconds=60)
    yield
    _scale(2)
    k8s.eventually("two operators", operators.are_ready, seconds=90)
    k8s.remove_namespace(NAMESPACE)


def _scale(replicas: int) -> None:
    words = ["scale", f"deployment/{install.RELEASE}", "--namespace", install.OPERATOR]
    k8s.kubectl(*words, f"--replicas={replicas}")


def _install(chart: Path, seconds: int) -> None:
    words = ["helm", "upgrade", "--install", NAME, str(chart), "--namespace", NAMESPACE, "--wait"]
    k8s.run(*words, f"--timeout={seconds}s", seconds=seconds + 60.0)


def test_1_helm_waits_for_an_operator_that_is_not_there(chart: Path) -> None:
    """Helm ends at its own deadline, and does not report success."""
    with pytest.raises(k8s.CommandError):
        _install(chart, 20)
    found = k8s.get("healthingest", NAME, NAMESPACE)
    assert found is not None
    assert found["status"] == {"observedGeneration": -1}


def test_2_helm_succeeds_when_it_is_ready(chart: Path) -> None:
    """It does not report success before."""
    _scale(2)
    _install(chart, READY_SECONDS)
    assert k8s.is_ready(k8s.get("healthingest", NAME, NAMESPACE))


def test_3_without_an_operator_a_deletion_hangs_until_one_is_back() -> None:
    """As `docs/how-to/uninstall.md` describes."""
    _scale(0)
    k8s.eventually("no operator", lambda: not operators.pods(), seconds=60)
    k8s.kubectl("delete", "healthingest", NAME, "--namespace", NAMESPACE, "--wait=false")
    words = ["wait", f"healthingest/{NAME}", "--namespace", NAMESPACE, "--for=delete"]
    with pytest.raises(k8s.CommandError):
        k8s.kubectl(*words, "--timeout=10s")
    _scale(2)
    k8s.kubectl(*words, "--timeout=120s", seconds=130)
