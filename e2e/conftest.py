"""Fixtures for all tests: the cluster with the operator, the witness, the report of durations."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import audit
import diagnosis
import install
import kubectl as k8s
import outside
from stopwatch import NOTES, TIMINGS, Stopwatch
from witness import Witness, witness


@pytest.fixture(scope="session", name="stopwatch")
def _stopwatch() -> Stopwatch:
    return Stopwatch()


@pytest.fixture(scope="session", name="witness")
def _witness() -> Iterator[Witness]:
    k8s.kubectl("version")
    with tempfile.TemporaryDirectory(prefix="e2e-") as folder, witness(Path(folder)) as listener:
        yield listener


@pytest.fixture(scope="session", name="audit_log")
def _audit_log() -> audit.AuditLog | None:
    return audit.opened()


@pytest.fixture(scope="session", autouse=True)
def _installed(witness: Witness, audit_log: audit.AuditLog | None) -> None:
    """
    Install dependencies and operator from this checkout, and remove what an earlier run has left.

    They are kept after the run, for a faster second run and for examination.
    """
    del witness, audit_log  # both start before anything happens
    install.dependencies()
    install.ingress_controller()
    images = install.images()
    install.remove_other_releases()
    install.chart(images["service"], images["operator"], more=install.SHORT_WAITS)
    install.remove_leftovers()
    outside.remove_erasure_key_tags()


_FAILED: set[str] = set()


def _story(item: pytest.Item) -> str:
    """Return the module and the parameter of a test, which later tests of the story depend on."""
    _, bracket, parameter = item.name.partition("[")
    return f"{item.path.name}{bracket}{parameter}"


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Remember that a test of a story failed, and add to its report what the cluster says."""
    if call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception):
        return
    if _story(item) not in _FAILED:
        item.add_report_section(call.when, "cluster", diagnosis.report())
    _FAILED.add(_story(item))


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Fail the later tests of a failed story at once, instead of waiting in vain."""
    if _story(item) in _FAILED and item.get_closest_marker("story"):
        pytest.fail("an earlier chapter of this story failed", pytrace=False)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the measured durations."""
    terminalreporter.section("timings")
    for what, seconds, bound in TIMINGS:
        terminalreporter.write_line(f"{seconds:7.1f} s (bound {bound:.0f} s)  {what}")
    for note in NOTES:
        terminalreporter.write_line(note)
