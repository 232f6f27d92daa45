"""A hang in any phase of a test ends in a failure that names it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.deadlines import HANG_SECONDS

TESTS = Path(__file__).parents[1]
SUITE = """
import threading
import pytest

def hang():
    while True:  # as a lock that nobody gives back, in code that swallows a timeout
        try:
            threading.Event().wait()
        except BaseException:
            pass

@pytest.fixture
def before():
    hang()

@pytest.fixture
def after():
    yield
    hang()

def test_setup(before): ...
def test_call(): hang()
def test_teardown_after_failure(after): assert False
def test_other(): ...
"""


@pytest.mark.parametrize("phase", ["test_setup", "test_call", "test_teardown_after_failure"])
def test_a_hang_is_reported(phase: str, tmp_path: Path) -> None:
    """The stack is printed, the test fails, and the others run."""
    (tmp_path / "test_it.py").write_text(SUITE)
    command = [sys.executable, "-m", "pytest", "-n", "1", "-p", "support.hangs"]
    command += ["--rootdir", str(tmp_path), "-o", "end_seconds=1", "-k", f"{phase} or other"]
    done = subprocess.run(
        [*command, "test_it.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTEST_ADDOPTS": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=HANG_SECONDS,
        text=True,
        check=False,
    )
    assert "in hang\n" in done.stdout
    assert f"crashed while running 'test_it.py::{phase}'" in done.stdout
    assert "1 passed" in done.stdout
