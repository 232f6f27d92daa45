"""Pods of `tilt up` run from a copy of the packages, and restart after a change."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from support.deadlines import HANG_SECONDS
from support.scripts import load_script

SCRIPT = Path(__file__).resolve().parents[2] / "e2e" / "kind" / "run_live.py"
WAITS = """
import signal, sys, time
from healthingest_thing import value
signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
print(value.VALUE, *sys.argv[1:], flush=True)
signal.pause()
"""


@contextmanager
def running(folder: Path, main: str) -> Iterator["subprocess.Popen[str]"]:
    """Run the script on a package with this `main`."""
    package = folder / "installed" / "healthingest_thing"
    package.mkdir(parents=True)
    for name, text in {"__init__": "", "main": main, "value": "VALUE = 'one'"}.items():
        (package / f"{name}.py").write_text(text)
    environment = os.environ | {
        "LIVE_FOLDER": str(folder / "live"),
        "LIVE_PACKAGES": str(folder / "installed"),
        "LIVE_MODULE": "healthingest_thing.main",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "api"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # so that the process of the package ends with the script
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def lines(process: "subprocess.Popen[str]", until: str) -> list[str]:
    """Return what it prints, up to a line; its timeout is that of the test."""
    assert process.stdout is not None
    found = []
    for line in process.stdout:
        found.append(line.strip())
        if line.strip() == until:
            return found
    raise AssertionError(found)


def test_a_changed_module_restarts_the_process(tmp_path: Path) -> None:
    """With its arguments; the installed package stays as it is."""
    with running(tmp_path, WAITS) as process:
        lines(process, "one api")
        changed = tmp_path / "live" / "healthingest_thing" / "value.py"
        changed.write_text("VALUE = 'two'")
        os.utime(changed, (time.time() + 5,) * 2)
        assert lines(process, "two api") == ["changed: restarting", "two api"]
        installed = tmp_path / "installed" / "healthingest_thing" / "value.py"
        assert installed.read_text() == "VALUE = 'one'"


def test_a_signal_ends_the_process(tmp_path: Path) -> None:
    """It decides about its exit code itself, as without the script."""
    with running(tmp_path, WAITS) as process:
        lines(process, "one api")
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG_SECONDS) == 7


def test_containers_of_a_pod_share_one_copy(tmp_path: Path) -> None:
    """Relay and janitor start together, and neither replaces what is there."""
    copy = load_script(SCRIPT).copy_packages
    package, live = tmp_path / "installed" / "healthingest_thing", tmp_path / "live"
    package.mkdir(parents=True)
    live.mkdir()
    (package / "value.py").write_text("VALUE = 'one'")
    copy([package], live)
    (live / package.name / "value.py").write_text("VALUE = 'changed'")
    copy([package], live)
    assert (live / package.name / "value.py").read_text() == "VALUE = 'changed'"
    assert list(tmp_path.rglob("tmp*")) == []


def test_a_command_that_ends_is_not_started_again(tmp_path: Path) -> None:
    """So that the migration's Job ends, and a crash is seen."""
    with running(tmp_path, "import sys; sys.exit(3)") as process:
        assert process.wait(HANG_SECONDS) == 3
