"""Tests that would disturb each other run in one process."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.deadlines import HANG_SECONDS
from support.parallel import group_of

TESTS = Path(__file__).parents[1]
TEST = """
import os, pathlib, pytest

@pytest.mark.parametrize("number", range(8))
def test_notes_its_process(number):
    pathlib.Path(__file__).with_suffix(f".{os.getpid()}").touch()
"""


@pytest.mark.parametrize(
    ("nodeid", "group"),
    [
        ("tests/cluster/test_crd.py::test_a[b]", "cluster"),
        ("tests/client/test_client.py::TestA::test_b", "client"),
        ("tests/ports/test_operator_broker.py::test_a", "broker users"),
        ("tests/ports/test_ledger.py::test_a", "tests/ports/test_ledger.py::test_a"),
    ],
)
def test_a_group_is_told_by_the_path(nodeid: str, group: str) -> None:
    """Two folders, and the modules about broker users, are groups."""
    assert group_of(nodeid) == group


def test_a_group_has_one_process(tmp_path: Path) -> None:
    """pytest-xdist asks our scheduler, which gives two modules of one folder to one process."""
    for folder in ("client", "cluster"):
        (tmp_path / "tests" / folder).mkdir(parents=True)
        for name in ("test_a.py", "test_b.py"):
            (tmp_path / "tests" / folder / name).write_text(TEST)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "support.parallel"]
    command += ["--import-mode=importlib", "--rootdir", str(tmp_path), "tests"]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""}
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout.decode()
    for folder in ("client", "cluster"):
        noted = [path.suffix for path in (tmp_path / "tests" / folder).glob("test_?.[0-9]*")]
        assert len(noted) == 2
        assert len(set(noted)) == 1
