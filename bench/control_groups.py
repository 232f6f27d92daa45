"""Limits memory or processor time of processes with control groups. Source: cgroups(7)."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from processes import family

_PERIOD_MICROSECONDS: Final = 20_000
"""Short, so that a process that used up its share does not wait for long."""
_NUMBERS: Final = count(1)


@dataclass(frozen=True, slots=True)
class Limits:
    """Where control groups of one version are, and what is written into the files of a new one."""

    root: Path
    files: Mapping[str, str]


def of_memory(size_bytes: int) -> tuple[Limits, ...]:
    """Return the limit of memory, for versions 1 and 2."""
    return (
        Limits(Path("/sys/fs/cgroup/memory"), {"memory.limit_in_bytes": str(size_bytes)}),
        Limits(Path("/sys/fs/cgroup"), {"memory.max": str(size_bytes)}),
    )


def of_processor(cores: float) -> tuple[Limits, ...]:
    """Return the limit of processor time to so many *cores*, for versions 1 and 2."""
    quota = round(cores * _PERIOD_MICROSECONDS)
    first = {"cpu.cfs_period_us": str(_PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)}
    return (
        Limits(Path("/sys/fs/cgroup/cpu"), first),
        Limits(Path("/sys/fs/cgroup"), {"cpu.max": f"{quota} {_PERIOD_MICROSECONDS}"}),
    )


@contextmanager
def control_group(versions: Sequence[Limits]) -> Iterator[Path | None]:
    """
    Make a group with the limits of the first version that this machine has; None if it has none.

    Enter the context before its processes are started, and leave it after they ended.
    """
    group = next((made for limits in versions if (made := _new_group(limits))), None)
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


@contextmanager
def inside(group: Path | None) -> Iterator[None]:
    """Start new processes in the group; this process itself leaves it again."""
    if group is None:
        yield
        return
    _move(group, os.getpid())
    try:
        yield
    finally:
        _move(group.parent, os.getpid())


def move(group: Path, process_id: int) -> None:
    """Move a process and its descendants into the group; later children belong to it, too."""
    for one in family(process_id):
        _move(group, one)


def _move(group: Path, process_id: int) -> None:
    (group / "cgroup.procs").write_text(str(process_id), encoding="ascii")


def _new_group(limits: Limits) -> Path | None:
    group = limits.root / f"healthingest-bench-{os.getpid()}-{next(_NUMBERS)}"
    try:
        group.mkdir()
    except OSError:
        return None
    try:
        for name, text in limits.files.items():
            (group / name).write_text(text, encoding="ascii")
    except OSError:
        group.rmdir()
        return None
    return group
