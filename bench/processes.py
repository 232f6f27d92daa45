"""Reads processor time and memory of processes from /proc. Source: proc(5)."""

import os
import threading
from contextlib import suppress
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
    """
    Return the user and system time of a process and its descendants, also of ended ones.

    Raises:
        OSError: there is no such process.
    """
    total = _ticks(process_id)
    for one in family(process_id)[1:]:
        with suppress(OSError):  # it has just ended: its parent has its time
            total += _ticks(one)
    return total / _TICKS


def _ticks(process_id: int) -> int:
    """Return utime, stime, cutime and cstime, the last two of children that have ended."""
    stat = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii")
    return sum(int(field) for field in stat.rpartition(")")[2].split()[11:15])


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
