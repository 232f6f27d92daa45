"""Describes the machine and the versions of the programs that are measured."""

import os
import platform
import re
import shutil
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Final

from benchmarks.model import Machine

_GIB: Final = 1024**3
_SECONDS: Final = 30.0
_WATCHED_SECONDS: Final = 5.0
_SERVERS: Final = {
    "PostgreSQL": ("postgres", "--version"),
    "Redis": ("redis-server", "--version"),
}
_LIBRARIES: Final = ("fastavro", "avro", "polars", "fastapi", "aiobotocore")
_RABBITMQ: Final = Path("/usr/lib/rabbitmq/lib")
"""Has a folder named after the version. Its command has no option that only prints it."""
_VERSION: Final = re.compile(r"\d+(?:\.\d+)+")
_GO_MODULE: Final = re.compile(r"tusd/v2 v(\S+)")


def machine() -> Machine:
    """Return this machine."""
    return Machine(
        processors=os.cpu_count() or 1,
        model=model(),
        memory_gib=round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / _GIB, 1),
        kernel=f"{platform.system()} {platform.release()}",
        versions=_versions(),
    )


def busy_processors() -> float:
    """
    Watch the machine for five seconds, and return the mean number of busy processors.

    The load average would still have the series before.
    """
    idle_before = _idle_seconds()
    began = time.monotonic()
    time.sleep(_WATCHED_SECONDS)
    idle = _idle_seconds() - idle_before
    return max(0.0, (os.cpu_count() or 1) - idle / (time.monotonic() - began))


def _idle_seconds() -> float:
    """Return the time that all processors were idle or waited for a disk (proc_stat(5))."""
    words = Path("/proc/stat").read_text(encoding="ascii").split(maxsplit=6)
    return (int(words[4]) + int(words[5])) / os.sysconf("SC_CLK_TCK")


def model() -> str:
    """Return the name of the processor."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.machine()


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version()}
    for name, (program, option) in _SERVERS.items():
        path = _path(program)
        if path is not None:
            done = subprocess.run(
                [path, option], check=False, capture_output=True, text=True, timeout=_SECONDS
            )
            match = _VERSION.search(done.stdout + done.stderr)
            if match is not None:
                found[name] = match[0]
    for folder in _RABBITMQ.glob("rabbitmq_server-*"):
        found["RabbitMQ"] = folder.name.rpartition("-")[2]
    modules = (Path(__file__).parents[1] / "tusd" / "go.mod").read_text(encoding="utf-8")
    if (match := _GO_MODULE.search(modules)) is not None:
        found["tusd"] = match[1]
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _path(program: str) -> str | None:
    folders = [str(one) for one in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    return shutil.which(program) or shutil.which(program, path=os.pathsep.join(folders))
