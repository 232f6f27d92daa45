"""Reads processor time and memory of processes from /proc. Source: proc(5)."""

import os
import threading
from pathlib import Path
from typing import Final, Self

MIB: Final = 1024 * 1024
_WATCH_SECONDS: Final = 0.02
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class watching:  # noqa: N801 - a context, called as one
    """Measures the most memory that all processes of a server use together during the context."""

    def __init__(self, process_id: int) -> None:
        self.bytes = 0
        self._process_id = process_id
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_WATCH_SECONDS):
            self.bytes = max(self.bytes, resident_bytes(self._process_id))


def resident_bytes(process_id: int) -> int:
    """
    Return the anonymous memory of a process and its descendants.

    The kernel cannot reclaim it without swapping.
    """
    return sum(_anonymous_bytes(one) for one in family(process_id))


def _anonymous_bytes(process_id: int) -> int:
    try:
        return status_bytes(process_id, "RssAnon")
    except (OSError, LookupError):  # the process has ended
        return 0


def status_bytes(process_id: int, name: str) -> int:
    """
    Return a line of `status`, for example `VmRSS`, of this process only.

    Raises:
        OSError: there is no such process.         LookupError: there is no such line, as for a
            process that has ended and was not reaped.
    """
    for line in Path(f"/proc/{process_id}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def processor_seconds(process_id: int) -> float:
    """Return the user and system time of a process and its descendants."""
    total = 0
    for one in family(process_id):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def family(process_id: int) -> list[int]:
    """Return a process and its descendants."""
    found = [process_id]
    for task in Path(f"/proc/{process_id}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found
