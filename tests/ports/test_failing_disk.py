"""The spool on a disk whose system calls fail or hang."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import failing_disk
from support.deadlines import HANG_SECONDS

HANG_MICROSECONDS = 5_000_000
BROKEN = "SpoolUnavailableError"


def _run(step: str, folder: Path, *strace: str) -> list[str]:
    """The words that the program prints for *step*, run under `strace` if it is given options."""
    command = [sys.executable, failing_disk.__file__, step, str(folder)]
    if strace:
        program = shutil.which("strace")
        if program is None:
            pytest.skip("no program `strace`")
        command = [program, "-f", "-qq", "-o", "/dev/null", *strace, *command]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=HANG_SECONDS
    )
    if strace and "PTRACE_" in done.stderr:
        pytest.skip("no process can be traced here")
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize(
    ("call", "code", "check", "body"),
    [
        ("fsync", "EIO", BROKEN, "done"),
        ("writev", "EIO", "done", BROKEN),
        ("writev", "EROFS", "done", BROKEN),
        ("writev", "EDQUOT", "done", "SpoolFullError"),
        ("rename", "EACCES", "done", BROKEN),
        ("flock", "EIO", "done", BROKEN),
    ],
)
def test_a_failing_system_call_is_told(
    tmp_path: Path, call: str, code: str, check: str, body: str
) -> None:
    """By the check if it makes this call, and by each body; the room is free again."""
    failing = ("-e", f"trace={call}", "-e", f"inject={call}:error={code}")
    assert _run("used", tmp_path / "spool", *failing) == [check, body, check, "True"]


def test_a_hanging_disk_holds_one_thread(tmp_path: Path) -> None:
    """Further checks fail at once while the first still waits; the disk back, they succeed."""
    hanging = ("-e", "trace=fsync", "-e", f"inject=fsync:delay_enter={HANG_MICROSECONDS}:when=1")
    told = _run("hanging", tmp_path / "spool", *hanging)
    assert told == [BROKEN, BROKEN, "False", "done", "done"]


def test_a_folder_that_forbids_writing_is_unavailable(tmp_path: Path) -> None:
    """To the check and to bodies; once it is allowed again, both succeed."""
    assert _run("forbidden", tmp_path / "spool") == [BROKEN, BROKEN, "done", "done"]
