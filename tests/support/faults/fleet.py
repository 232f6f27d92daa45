"""
The service's processes as in an installation: two API processes, a relay, a janitor.

A case may choose others.
"""

import asyncio
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from support.faults.points import VARIABLE
from support.servers.process import as_user, free_port
from support.service_process import ServiceProcess, environment

API = ("api-1", "api-2")
START_SECONDS = 600.0
"""A busy machine starts a process slowly, so only a process that has ended is a failure."""
ROLES = (*API, "relay", "janitor")
TESTS = Path(__file__).parents[2]
COMMAND = (sys.executable, "-m", "support.faults.faulty_service")


def is_api(role: str) -> bool:
    """Whether it serves uploads."""
    return role.startswith("api")


@dataclass
class Fleet:
    """Processes by name; each keeps its port when it is restarted."""

    folder: Path
    settings: dict[str, dict[str, str]]
    roles: tuple[str, ...] = ROLES
    ports: dict[str, int] = field(default_factory=dict)
    running: dict[str, ServiceProcess] = field(default_factory=dict)
    starts: int = 0

    def __post_init__(self) -> None:
        """Choose the ports."""
        self.ports |= {role: free_port() for role in self.roles if role not in self.ports}

    def address(self, role: str) -> str:
        """Return the address of an API."""
        return f"http://127.0.0.1:{self.ports[role]}"

    async def start(self) -> None:
        """Start the processes that do not run, and wait until they listen."""
        begun = [
            role
            for role in self.roles
            if role not in self.running or self.running[role].process.poll() is not None
        ]
        for role in begun:
            self._spawn(role)
        for role in begun:
            server = "api" if is_api(role) else "metrics"
            await asyncio.to_thread(self.running[role].address, server, seconds=START_SECONDS)

    def dead(self) -> list[str]:
        """Return the processes that have ended."""
        return [role for role, one in self.running.items() if one.process.poll() is not None]

    def kill(self, role: str) -> None:
        """Kill one process."""
        self.running[role].end(signal.SIGKILL)

    def stop(self) -> None:
        """Stop all processes."""
        for one in self.running.values():
            if one.process.poll() is None:
                one.process.kill()
            one.process.wait()

    def _spawn(self, role: str) -> None:
        self.starts += 1
        log = self.folder / f"{role}-{self.starts}.log"
        port = {"SERVER__PORT": str(self.ports[role])} if is_api(role) else {}
        variables = environment(self.folder / role, **self.settings[role], **port) | {
            VARIABLE: str(self.folder / "faults"),
            "PYTHONPATH": str(TESTS),
        }
        with log.open("wb") as output:
            command = [*as_user(None), *COMMAND, role.partition("-")[0]]
            self.running[role] = ServiceProcess(
                subprocess.Popen(command, env=variables, stderr=output), log
            )

    def peak_memory_bytes(self) -> float:
        """Return the peak memory of the largest living process."""
        peaks = [0.0]
        for one in self.running.values():
            status = Path(f"/proc/{one.process.pid}/status")
            if one.process.poll() is None and status.exists():
                lines = dict(
                    line.split(":", 1)
                    for line in status.read_text(encoding="ascii").splitlines()
                    if ":" in line
                )
                peaks.append(float(lines.get("VmHWM", "0 kB").split()[0]) * 1024)
        return max(peaks)

    def open_files(self) -> int:
        """Return the largest number of open files of a living process."""
        counts = [0]
        for one in self.running.values():
            folder = Path(f"/proc/{one.process.pid}/fd")
            if one.process.poll() is None and folder.exists():
                counts.append(sum(1 for _ in folder.iterdir()))
        return max(counts)

    def spooled_bytes(self) -> int:
        """Return the bytes in the spools."""
        return sum(
            path.stat().st_size
            for role in self.roles
            for path in self.spool(role).glob("*.body")
            if is_api(role)
        )

    def spool(self, role: str) -> Path:
        """Return the folder in which an API keeps bodies."""
        return self.folder / role / "spool"
