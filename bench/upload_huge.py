"""Measures one upload of 5 GiB with a memory limit of 256 MiB for the service."""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from control_groups import control_group, inside, of_memory
from processes import MIB, watching
from upload_client import Connection
from upload_files import file_of
from upload_servers import api_alone, backing

SIZE_BYTES: Final = 5 * 1024 * MIB
LIMIT_BYTES: Final = 256 * MIB
_DEVICE: Final = "watch-" + "0" * 122
"""Keeps the file below the gate's limit of 50 million records."""
_PEAKS: Final = ("memory.max_usage_in_bytes", "memory.peak")
"""The most that a group used, for control groups version 1 and version 2."""


def huge(folder: Path) -> bool:
    """Send the file, print the cost; return whether it was accepted within the limit."""
    with ExitStack() as stack:
        on = stack.enter_context(backing())
        settings = {
            "LIMITS__MAX_FILE_SIZE_BYTES": str(SIZE_BYTES + MIB),
            "SPOOL__FILES": "1",
            "SPOOL__FOLDER": str(folder / "spool"),
        }
        group = stack.enter_context(control_group(of_memory(LIMIT_BYTES)))
        with inside(group):
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


def _usage(group: Path | None) -> str:
    if group is None:
        return "no control group can be made here: measured, not enforced"
    for name in _PEAKS:
        if (group / name).exists():
            peak = int((group / name).read_text(encoding="ascii"))
            return f"limit of a control group: {peak / MIB:.0f} MiB at most, with the page cache"
    return ""
