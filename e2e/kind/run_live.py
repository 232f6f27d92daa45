"""
Runs a module from a copy of our packages that may be changed, and again after each change.

Only images of `tilt up` have it. The root file system of a pod is read-only, so the copy lies in
`/tmp`, into which Tilt copies a changed file.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType

LIVE = Path(os.environ.get("LIVE_FOLDER", "/tmp/live"))  # noqa: S108 - the pod's own emptyDir
POLL_SECONDS = 0.3
STOP_SECONDS = 10.0


def copy_packages(packages: list[Path], live: Path) -> None:
    """Copy the packages, unless another container of this pod has done so, or does so now."""
    for package in packages:
        with tempfile.TemporaryDirectory(dir=live.parent) as folder:
            unfinished = Path(folder) / package.name
            shutil.copytree(package, unfinished, ignore=shutil.ignore_patterns("__pycache__"))
            with contextlib.suppress(OSError):  # a folder that is not empty is not replaced
                unfinished.rename(live / package.name)


def seen(live: Path) -> Mapping[Path, float]:
    """Return the time of each Python file."""
    found = {}
    for path in live.rglob("*.py"):
        try:
            found[path] = path.stat().st_mtime
        except FileNotFoundError:  # Tilt replaces it just now
            continue
    return found


class Runner:
    """Runs one command at a time."""

    def __init__(self, command: list[str], live: Path) -> None:
        self._command = command
        self._live = live
        self._stopped = False
        self._before = seen(live)
        self._process = self._started()

    def run(self) -> int:
        """Return the exit code of a command that ends by itself, or after a signal."""
        while self._process.poll() is None:
            time.sleep(POLL_SECONDS)
            now = seen(self._live)
            if now != self._before and not self._stopped:
                self._before = now
                sys.stdout.write("changed: restarting\n")
                sys.stdout.flush()
                self._end()
                self._process = self._started()
        return self._process.returncode

    def stop(self, number: int, _frame: FrameType | None) -> None:
        """Pass on a signal."""
        self._stopped = True
        self._process.send_signal(number)

    def _started(self) -> "subprocess.Popen[bytes]":
        environment = os.environ | {"PYTHONPATH": str(self._live)}
        return subprocess.Popen(self._command, env=environment)

    def _end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> int:
    """Run module `LIVE_MODULE` with the given arguments; returns its exit code."""
    LIVE.mkdir(parents=True, exist_ok=True)
    installed = Path(os.environ["LIVE_PACKAGES"])
    copy_packages(sorted(installed.glob("healthingest_*")), LIVE)
    runner = Runner([sys.executable, "-m", os.environ["LIVE_MODULE"], *sys.argv[1:]], LIVE)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, runner.stop)
    return runner.run()


if __name__ == "__main__":
    sys.exit(main())
