"""
Installs the servers and the browser that tests start, and the tracer of `make faults`.

Debian packages, and programs built by Go.

`make test` and `make faults` run it first, as `make servers`. It prints the packages before it
installs them, and what it cannot install; the tests concerned skip. NO_INSTALL=1 forbids it.

No daemon of a package is started: while packages are unpacked, Debian's `policy-rc.d` forbids it.
The file is removed afterwards, also by the next run when this one was killed.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support.servers import go_programs

POLICY = Path("/usr/sbin/policy-rc.d")
POLICY_TEXT = "#!/bin/sh\n# HealthIngest: no daemons while tests' packages are unpacked\nexit 101\n"
_BROWSER = "chromium"
WANTED: dict[str, Callable[[], bool]] = {
    "postgresql": lambda: any(Path("/usr/lib/postgresql").glob("*/bin/postgres")),
    "rabbitmq-server": lambda: Path("/usr/lib/rabbitmq/bin/rabbitmq-server").exists(),
    "redis-server": lambda: shutil.which("redis-server") is not None,
    "prometheus": lambda: shutil.which("prometheus") is not None,  # and promtool
    _BROWSER: lambda: shutil.which(_BROWSER) is not None,
    "strace": lambda: shutil.which("strace") is not None,
}
INSTALL_SECONDS = 900


def missing() -> list[str]:
    """Packages whose programs are not here."""
    return [package for package, present in WANTED.items() if not present()]


def install(packages: list[str]) -> bool:
    """Install them without starting a daemon; returns whether apt succeeded."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    ours = not POLICY.exists() or POLICY.read_text(encoding="utf-8") == POLICY_TEXT
    if ours:
        POLICY.write_text(POLICY_TEXT, encoding="utf-8")
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


def download_sources() -> None:
    """Download the Go modules whose files tests read; without them, those tests skip."""
    go = shutil.which("go")
    module = go_programs.GATEWAY_API
    if go is None or module.find() is not None:
        return
    sys.stdout.write(f"downloading {module.name}\n")
    failure = module.download(go)
    if failure is not None:
        sys.stdout.write(f"{module.name} was not downloaded, its tests skip: {failure}\n")


def main() -> int:
    """
    Say what happened in one line.

    A machine without root or apt is no failure, its tests are skipped and counted.
    """
    build_programs()
    download_sources()
    wanted = missing()
    if not wanted:
        return 0
    names = " ".join(wanted)
    if os.environ.get("NO_INSTALL"):
        sys.stdout.write(f"NO_INSTALL is set: {names} not installed; tests that need them skip\n")
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        sys.stdout.write(
            f"no root or no apt: {names} not installed;"
            " a container engine is used, else tests skip\n"
        )
        return 0
    sys.stdout.write(f"apt-get install {names} (NO_INSTALL=1 forbids it)\n")
    sys.stdout.flush()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that `finally` runs
    # The browser by itself: a distribution that has no such package still gets the servers.
    for packages in ([one for one in wanted if one != _BROWSER], [_BROWSER]):
        present = [one for one in packages if one in wanted]
        if present and not install(present):
            names = " ".join(present)
            sys.stdout.write(f"apt could not install {names}; tests that need them skip\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
