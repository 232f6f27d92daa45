"""Faults at system calls: `strace` kills a process, or fails one of its calls."""

import asyncio
import errno
import re
import shutil
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx

from support.faults.world import World

ERRORS = {
    "accept4": errno.EMFILE,
    "close": errno.EIO,
    "connect": errno.ECONNREFUSED,
    "dup": errno.EMFILE,
    "epoll_ctl": errno.ENOMEM,
    "epoll_pwait": errno.EINTR,
    "epoll_wait": errno.EINTR,
    "fcntl": errno.EINVAL,
    "fdatasync": errno.EIO,
    "flock": errno.EIO,
    "fsync": errno.EIO,
    "ftruncate": errno.EIO,
    "futex": None,
    "lseek": errno.EIO,
    "mmap": errno.ENOMEM,
    "newfstatat": errno.EIO,
    "openat": errno.EMFILE,
    "pread64": errno.EIO,
    "pwrite64": errno.ENOSPC,
    "read": errno.EIO,
    "readv": errno.EIO,
    "recvfrom": errno.ECONNRESET,
    "recvmsg": errno.ECONNRESET,
    "rename": errno.EIO,
    "renameat": errno.EIO,
    "renameat2": errno.EIO,
    "sendmsg": errno.EPIPE,
    "sendto": errno.ECONNRESET,
    "shutdown": errno.ENOTCONN,
    "socket": errno.EMFILE,
    "unlink": errno.EIO,
    "unlinkat": errno.EIO,
    "write": errno.ENOSPC,
    "writev": errno.EPIPE,
}
"""
System calls, and the error that each fails with.

None: it is only killed, since libc ends the process itself on any error.
"""
KILL = "signal=KILL"
PLANS = 3
ATTACH_SECONDS = 15.0
DETACH_SECONDS = 5.0
ALIVE_SECONDS = 2.0
CALL = re.compile(r"^(\d+) +(?:<\.\.\. )?(\w+)[( ]")


class CannotTraceError(Exception):
    """The text says why no process can be traced here."""


@dataclass(frozen=True, slots=True, order=True)
class Blow:
    """The *number*th call of *name* in a thread: the process is killed, or the call fails."""

    name: str
    effect: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}: {self.effect}"


@dataclass(frozen=True, slots=True)
class Way:
    """A process, and its work while faults wait for it."""

    name: str
    role: str
    go: Callable[[World, str], Awaitable[None]]


def effects(name: str) -> list[str]:
    """Return the possible effects on a call."""
    code = ERRORS[name]
    return [KILL] if code is None else [KILL, f"error={errno.errorcode[code]}"]


async def traced(
    pid: int, words: list[str], output: Path, work: Callable[[], Awaitable[None]]
) -> str:
    """
    Do *work* while `strace` watches the process *pid*, all of its threads; what it wrote.

    Raises:
        CannotTraceError: there is no `strace`, or it may not attach.
    """
    program = shutil.which("strace")
    if program is None:
        message = "no program `strace`"
        raise CannotTraceError(message)
    command = [program, "-f", "-qq", "-o", str(output), "-e", "signal=none", *words, "-p", str(pid)]
    tracer = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        await _attached(pid, tracer)
        await work()
    finally:
        with suppress(ProcessLookupError):
            tracer.send_signal(signal.SIGINT)
        try:
            async with asyncio.timeout(DETACH_SECONDS):
                await tracer.communicate()
        except TimeoutError:
            tracer.kill()
            await tracer.wait()
    return await asyncio.to_thread(output.read_text, encoding="utf-8", errors="replace")


async def _attached(pid: int, tracer: asyncio.subprocess.Process) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while not _is_traced(pid):
        if tracer.returncode is not None or _is_dead(pid) or time.monotonic() > deadline:
            said = (
                b""
                if tracer.returncode is None or tracer.stderr is None
                else await tracer.stderr.read()
            )
            message = said.decode(errors="replace").strip() or "strace does not attach"
            raise CannotTraceError(message)
        await asyncio.sleep(0.01)


def _is_dead(pid: int) -> bool:
    """Whether it has ended, reaped or not."""
    try:
        return "\nState:\tZ" in Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    except OSError:
        return True


def _is_traced(pid: int) -> bool:
    """Whether every thread of it is traced."""
    statuses = list[str]()
    with suppress(OSError):  # the process, or a thread, gone meanwhile
        for task in Path(f"/proc/{pid}/task").iterdir():
            statuses.append((task / "status").read_text(encoding="ascii"))
        return all("\nTracerPid:\t0\n" not in status for status in statuses)
    return False


async def plan(world: World, way: Way) -> dict[str, int]:
    """
    Return the system calls of the process on one *way*, each with its maximum per thread.

    Calls that it does not make each time are left out: those of a health check, for example.
    """
    await way.go(world, way.role)  # what is done once is done before
    plans = [await _calls(world, way) for _ in range(PLANS)]
    always = frozenset[str].intersection(*(frozenset(calls) for calls in plans))
    return {name: max(calls[name] for calls in plans) for name in always}


async def _calls(world: World, way: Way) -> dict[str, int]:
    words = ["-e", f"trace={','.join(f'?{name}' for name in ERRORS)}"]
    pid = world.fleet.running[way.role].process.pid
    log = await traced(pid, words, world.folder / "calls", partial(way.go, world, way.role))
    made = Counter[tuple[str, str]]()
    for line in log.splitlines():
        found = CALL.match(line)
        if found is not None and "resumed>" not in line:
            made[found[1], found[2]] += 1
    counts = dict[str, int]()
    for (_, name), count in made.items():
        if name in ERRORS:
            counts[name] = max(counts.get(name, 0), count)
    return counts


async def strike(world: World, way: Way, blow: Blow) -> bool:
    """Do the work of *way* while *blow* waits; return whether it took effect."""
    process = world.fleet.running[way.role].process
    words = [
        "-e",
        f"trace={blow.name}",
        "-e",
        f"inject={blow.name}:{blow.effect}:when={blow.number}",
    ]
    log = await traced(process.pid, words, world.folder / "blow", partial(way.go, world, way.role))
    if blow.effect == KILL:
        return process.poll() is not None
    return "(INJECTED)" in log


async def probe_life(world: World, role: str) -> bool:
    """
    Kill a process that fails its liveness probe, as the kubelet does.

    Returns whether it was necessary.
    """
    running = world.fleet.running[role]
    if running.process.poll() is not None:
        return False
    server = "api" if role.startswith("api") else "metrics"
    with suppress(httpx.HTTPError):
        answer = await world.clients.http.get(
            f"{running.address(server)}/health/live", timeout=ALIVE_SECONDS
        )
        if answer.status_code == httpx.codes.OK:
            return False
    await asyncio.to_thread(world.fleet.kill, role)
    return True
