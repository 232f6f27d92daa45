"""What processes use: processor time and memory, read from /proc. Source: proc(5)."""

import os
import threading
from pathlib import Path
from typing import Final, Self

MIB: Final = 1024 * 1024
_WATCH_SECONDS: Final = 0.02
_TICKS: Final = os.sysconf("SC_CLK_TCK")


class watching:  # noqa: N801 - a context, called as one
    """The most memory that all processes of a server have together while the context lasts."""

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
    Anonymous memory of a process and all below it.

    What cannot be given back without swapping.
    """
    return sum(_anonymous_bytes(one) for one in family(process_id))


def _anonymous_bytes(process_id: int) -> int:
    try:
        return status_bytes(process_id, "RssAnon")
    except (OSError, LookupError):  # it has ended meanwhile
        return 0


def status_bytes(process_id: int, name: str) -> int:
    """
    A line of `status`, `VmRSS` for one, of this process alone.

    Raises:
        OSError: there is no such process.
        LookupError: it has no such line, as one that has ended and is not waited for.
    """
    for line in Path(f"/proc/{process_id}/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(name)


def processor_seconds(process_id: int) -> float:
    """User and system time of a process and all below it."""
    total = 0
    for one in family(process_id):
        fields = Path(f"/proc/{one}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def family(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    found = [process_id]
    for task in Path(f"/proc/{process_id}/task").glob("*/children"):
        try:
            children = task.read_text(encoding="ascii").split()
        except OSError:
            continue
        for child in children:
            found += family(int(child))
    return found
