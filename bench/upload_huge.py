"""5 GiB through 256 MiB: one upload larger than all memory that the service may have."""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

from upload_client import Connection
from upload_files import file_of
from upload_measures import MIB, family, watching
from upload_servers import Server, backing, on_servers

SIZE_BYTES: Final = 5 * 1024 * MIB
LIMIT_BYTES: Final = 256 * MIB
_DEVICE: Final = "watch-" + "0" * 122
"""So that the file stays below the 50 million records that the gate takes."""
_CGROUPS: Final = (
    (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes", "memory.max_usage_in_bytes"),
    (Path("/sys/fs/cgroup"), "memory.max", "memory.peak"),
)
"""Version 1 and version 2."""


def huge(folder: Path) -> bool:
    """Send it, print what it took; whether it went through within the limit."""
    with ExitStack() as stack:
        on = stack.enter_context(backing())
        settings = {
            "LIMITS__MAX_FILE_SIZE_BYTES": str(SIZE_BYTES + MIB),
            "SPOOL__FILES": "1",
            "SPOOL__FOLDER": str(folder / "spool"),
        }
        server = stack.enter_context(on_servers(folder / "s3", on, **settings))
        limited = stack.enter_context(_limited(server))
        file = file_of(SIZE_BYTES, 1, device=_DEVICE)
        began = time.monotonic()
        with watching(server.process_id) as peak, Connection(server.target.port) as connection:
            status = connection.upload(server.target, file)
        seconds = time.monotonic() - began
        print(f"{file.size_bytes} bytes: {status} after {seconds:.0f} s, {file.size_bytes / 1e6 / seconds:.0f} MB/s")
        print(f"own memory of API and gate at most {peak.bytes / MIB:.0f} MiB (limit {LIMIT_BYTES // MIB})")
        print(_usage(limited))
        return status == 201 and peak.bytes <= LIMIT_BYTES


@contextmanager
def _limited(server: Server) -> Iterator[Path | None]:
    """All processes of the server in a control group of its own with the limit; None: that is not to be had here."""
    group = _new_group()
    if group is None:
        yield None
        return
    for process_id in family(server.process_id):
        (group / "cgroup.procs").write_text(str(process_id), encoding="ascii")
    try:
        yield group
    finally:
        for process_id in family(server.process_id):
            (group.parent / "cgroup.procs").write_text(str(process_id), encoding="ascii")
        group.rmdir()


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
            return f"enforced by a control group: {peak / MIB:.0f} MiB at most, files' pages in memory included"
    return ""
