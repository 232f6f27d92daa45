"""
Installs the servers that tests start, and the tracer of `make faults`.

Debian packages, and programs built by Go.

`make test` and `make faults` run it first, as `make servers`. It prints what cannot be had; those
tests skip.

Nothing that a package brings is left running: while they are unpacked, Debian's `policy-rc.d`
forbids to start daemons.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.servers import go_programs

POLICY = Path("/usr/sbin/policy-rc.d")
WANTED: dict[str, Callable[[], bool]] = {
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    "rabbitmq-server": lambda: Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(),
    "redis-server": lambda: shutil.which("redis-server") is not None,
    "strace": lambda: shutil.which("strace") is not None,
}
INSTALL_SECONDS = 900


def missing() -> list[str]:
    """Packages whose programs are not here."""
    return [package for package, present in WANTED.items() if not present()]


def install(packages: list[str]) -> bool:
    """Install them without starting a daemon; returns whether apt succeeded."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    ours = not POLICY.exists()
    if ours:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *packages]):
            command = ["apt-get", "--quiet", "--quiet", *words]
            subprocess.run(
                command,
                env=environment,
                check=True,
                timeout=INSTALL_SECONDS,
                stdout=subprocess.DEVNULL,
            )
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    finally:
        if ours:
            POLICY.unlink(missing_ok=True)
    return True


def build_programs() -> None:
    """
    Build the missing Go programs, a line for each.

    One that cannot be built is no failure, its tests skip.
    """
    for program in go_programs.missing():
        go = shutil.which("go")
        if go is None:
            sys.stdout.write(
                f"no `go` on PATH: {program.name} not built; tests that need it skip\n"
            )
            continue
        sys.stdout.write(f"building {program.name}\n")
        sys.stdout.flush()
        failure = program.build(go)
        if failure is not None:
            sys.stdout.write(f"{program.name} was not built, tests that need it skip: {failure}\n")


def main() -> int:
    """
    Say what happened in one line.

    A machine without root or apt is no failure, its tests are skipped and counted.
    """
    build_programs()
    wanted = missing()
    if not wanted:
        return 0
    names = " ".join(wanted)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.stdout.write(
            f"no root or no apt: {names} not installed; "
            "a container engine is used, else tests skip\n"
        )
        return 0
    sys.stdout.write(f"installing {names}\n")
    sys.stdout.flush()
    if not install(wanted):
        sys.stdout.write(f"apt could not install {names}; tests that need them skip\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
