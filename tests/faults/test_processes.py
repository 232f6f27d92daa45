"""What the processes under faults tell about themselves."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.deadlines import HANG_SECONDS
from support.service_process import ServiceProcess


def _ended_process(log: Path, *events: dict[str, object]) -> ServiceProcess:
    log.write_text("".join(f"{json.dumps(event)}\n" for event in events), encoding="utf-8")
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait(HANG_SECONDS)
    return ServiceProcess(process, log)


def test_a_process_that_died_right_after_it_listened_has_an_address(tmp_path: Path) -> None:
    """A kill that meets the first request must not look like a failed start."""
    listening = {"event": "listening", "server": "api", "port": 4711}
    ended = _ended_process(tmp_path / "log", listening)
    assert ended.address() == "http://127.0.0.1:4711"


def test_a_process_that_ended_without_listening_shows_its_log(tmp_path: Path) -> None:
    """The log is what tells why it did not start."""
    ended = _ended_process(tmp_path / "log", {"event": "no_such_setting"})
    with pytest.raises(AssertionError, match="no_such_setting"):
        ended.address()
