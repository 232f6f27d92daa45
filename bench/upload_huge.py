"""Measures one upload of 5 GiB with a memory limit of 256 MiB for the service."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from processes import MIB, watching
from upload_client import Connection
from upload_files import file_of
from upload_servers import api_alone, backing

SIZE_BYTES: Final = 5 * 1024 * MIB
LIMIT_BYTES: Final = 256 * MIB
_DEVICE: Final = "watch-" + "0" * 122
"""Keeps the file below the gate's limit of 50 million records."""
_CGROUPS: Final = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.peak"),
)
"""Control groups version 1 and version 2."""


def huge(folder: Path) -> bool:
    """Send the file, print the cost; return whether it was accepted within the limit."""
    with ExitStack() as stack:
        on = stack.enter_context(backing())
        settings = {
            "LIMITS__MAX_FILE_SIZE_BYTES": str(SIZE_BYTES + MIB),
            "SPOOL__FILES": "1",
            "SPOOL__FOLDER": str(folder / "spool"),
        }
        group = stack.enter_context(_group())
        with _inside(group):
            server = stack.enter_context(api_alone(folder / "s3", on, **settings))
        file = file_of(SIZE_BYTES, 1, device=_DEVICE)
        began = time.monotonic()
        with watching(server.process_id) as peak, Connection(server.target.port) as connection:
            status = connection.upload(server.target, file)
        seconds = time.monotonic() - began
        print(
            f"{file.size_bytes} bytes: {status} after {seconds:.0f} s,"
            f" {file.size_bytes / 1e6 / seconds:.0f} MB/s"
        )
        print(
            f"own memory of API and gate at most {peak.bytes / MIB:.0f} MiB"
            f" (limit {LIMIT_BYTES // MIB})"
        )
        print(_usage(group))
        return status == 201 and peak.bytes <= LIMIT_BYTES


@contextmanager
def _group() -> Iterator[Path | None]:
    """
    A control group with the limit, or None if it is not available.

    Enter it before starting the server, and leave it after.
    """
    group = _new_group()
    try:
        yield group
    finally:
        if group is not None:
            group.rmdir()


@contextmanager
def _inside(group: Path | None) -> Iterator[None]:
    """Start new processes in the group; this process itself leaves it again."""
    if group is None:
        yield
        return
    (group / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
    try:
        yield
    finally:
        (group.parent / "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")


def _new_group() -> Path | None:
    for root, limit, _ in _CGROUPS:
        group = root / f"healthingest-bench-{os.getpid()}"
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(LIMIT_BYTES), encoding="ascii")
        except OSError:
            group.rmdir()
            continue
        return group
    return None


def _usage(group: Path | None) -> str:
    if group is None:
        return "no control group can be made here: measured, not enforced"
    for _, limit, usage in _CGROUPS:
        if (group / limit).exists():
            peak = int((group / usage).read_text(encoding="ascii"))
            return f"limit of a control group: {peak / MIB:.0f} MiB at most, with the page cache"
    return ""
