"""
The operator changes to the previous chart and back, during uploads.

No pod of the service is restarted.
"""

import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import install
import kubectl as k8s
import outside
from healthingest_operator.resources.children import KINDS
from steady import NO_LIMITS, SteadyUploads
from stopwatch import Stopwatch
from support.superfluous import superfluous_children

KIND = "healthingest"
NAMESPACE = "e2e-upgrade"
NAME = "upgraded"
READY_SECONDS = 90.0
PASS_SECONDS = 60.0
CHART_IN_TREE = install.CHART.relative_to(install.ROOT)
OPERATOR_PODS = "app.kubernetes.io/name=healthingest-operator"
pytestmark = pytest.mark.story


def _git(*words: str) -> str:
    """Skips the story without git, or without enough of the history."""
    try:
        return k8s.run("git", "-C", str(install.ROOT), *words).strip()
    except (k8s.CommandError, FileNotFoundError, subprocess.SubprocessError) as error:
        pytest.skip(f"no history to take the chart of before from: {error}")


@pytest.fixture(scope="module", name="before")
def _before(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """
    Install the chart before its last change.

    Afterwards the operator is that of this checkout again.
    """
    last = _git("log", "-1", "--format=%H", "--", str(CHART_IN_TREE))
    folder = tmp_path_factory.mktemp("chart-of-before")
    _git("archive", f"--output={folder / 'chart.tar'}", f"{last}^", str(CHART_IN_TREE))
    with tarfile.open(folder / "chart.tar") as archive:
        archive.extractall(folder, filter="data")
    yield folder / CHART_IN_TREE
    _install()


@pytest.fixture(scope="module", name="user")
def _user(before: Path) -> Iterator[outside.Api]:
    """A client of a HealthIngest that the previous operator has created."""
    k8s.remove_namespace(NAMESPACE)
    install.user_secrets(NAMESPACE)
    _install(before)
    k8s.apply(_manifest(), namespace=NAMESPACE)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=READY_SECONDS)
    yield outside.Api("upgraded.example").signed_in()
    k8s.remove_namespace(NAMESPACE, wait=False)


def test_1_up_and_down_restart_nothing(
    before: Path, user: outside.Api, stopwatch: Stopwatch
) -> None:
    """
    After each change of the chart the new operator works.

    Pods are kept, uploads continue, and `Ready` stays True.
    """
    pods = _pods()
    assert len(pods) == 3
    with SteadyUploads(user) as uploads:
        for what, folder in (("to this one", install.CHART), ("back to the one of before", before)):
            began = time.monotonic()
            _install(folder)
            _see_a_reconciliation()
            stopwatch.record(
                f"chart: {what}, and a reconciliation",
                time.monotonic() - began,
                bound_seconds=120.0,
            )
            assert k8s.is_ready(_live()), k8s.condition(_live(), "Ready")
            assert _pods() == pods
        uploads.some_more()
    assert uploads.failures == [], "\n".join(uploads.failures)


def test_2_what_another_version_named_otherwise_goes(user: outside.Api) -> None:
    """Children of any kind that this version does not want are deleted; nothing else is changed."""
    del user
    _install(install.CHART)
    before = _children()
    live = _live()
    assert live is not None
    for child in superfluous_children(live):
        k8s.apply(child)
    k8s.eventually("only what is wanted", lambda: _children() == before, seconds=PASS_SECONDS)


def _manifest() -> dict[str, Any]:
    manifest = install.minimal(NAME)
    manifest["spec"]["limits"] = dict(NO_LIMITS)
    return manifest


def _install(folder: Path = install.CHART) -> None:
    """Install the chart in *folder* with today's images, and wait until only its pods exist."""
    old = {pod["metadata"]["uid"] for pod in k8s.items("pods", install.OPERATOR, OPERATOR_PODS)}
    images = install.images()
    more = install.SHORT_WAITS if folder == install.CHART else {}
    install.chart(images["service"], images["operator"], folder=folder, more=more)

    def new_ones_alone() -> bool:
        return not old & {
            pod["metadata"]["uid"] for pod in k8s.items("pods", install.OPERATOR, OPERATOR_PODS)
        }

    k8s.eventually("the operators of before are gone", new_ones_alone, seconds=PASS_SECONDS)


def _see_a_reconciliation() -> None:
    """Wait until a deleted child is created again, which shows a complete reconciliation."""
    name = f"{NAME}-api"
    k8s.kubectl("delete", "poddisruptionbudget", name, "--namespace", NAMESPACE)
    back: Callable[[], Any] = lambda: k8s.get("poddisruptionbudget", name, NAMESPACE)  # noqa: E731
    k8s.eventually("the budget is back", back, seconds=PASS_SECONDS)
    k8s.eventually("Ready=True", lambda: k8s.is_ready(_live()), seconds=PASS_SECONDS)


def _live() -> dict[str, Any] | None:
    return k8s.get(KIND, NAME, NAMESPACE)


def _pods() -> dict[str, list[int]]:
    """Return the service's pods, and how often their containers were restarted."""
    return {
        pod["metadata"]["uid"]: [
            status["restartCount"] for status in pod["status"]["containerStatuses"]
        ]
        for pod in k8s.items("pods", NAMESPACE, "app.kubernetes.io/component in (api,relay)")
    }


def _children() -> set[str]:
    found = k8s.items(
        ",".join(kind for _, kind in KINDS), NAMESPACE, f"app.kubernetes.io/instance={NAME}"
    )
    return {
        f"{child['kind']} {child['metadata']['name']} {child['metadata']['uid']}" for child in found
    }
