"""A rolling restart under load: three processes are replaced in turn, and no request fails."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from support.faults.case import Case
from support.faults.fleet import Fleet
from support.faults.world import World

ROLES = ("api-a", "api-b", "api-c")
DELAY_SECONDS = 1.5
SETTINGS = {
    "SERVER__SHUTDOWN_DELAY_SECONDS": str(DELAY_SECONDS),
    "DATABASE__TIMEOUT_SECONDS": "15",
    "STORE__TIMEOUT_SECONDS": "30",
    "LIMITS__UPLOAD_LEASE_SECONDS": "20",
}
"""Long limits for a busy machine, because only the restart is tested."""
CLIENTS = 6
PAUSE_SECONDS = 0.05
PROBE_SECONDS = 0.1
SLOW_PIECES = 10
SLOW_SECONDS = 2.5
"""An upload in progress takes longer than the delay."""
TOO_SLOW_SECONDS = 10.0
END_SECONDS = 30.0


def rolling_cases() -> list[Case]:
    """Return both outcomes of a graceful stop."""
    return [
        Case("rolling restart under load", rolling_restart),
        Case("ended gently, a body too slow for it", too_slow),
    ]


@dataclass
class Balancer:
    """Sends to processes that report that they are ready, as a Service of Kubernetes does."""

    fleet: Fleet
    http: httpx.AsyncClient
    ready: set[str] = field(default_factory=set)

    async def watch(self) -> None:
        """Probe readiness until cancelled."""
        while True:
            for role in ROLES:
                is_ready = False
                with suppress(httpx.HTTPError):
                    answer = await self.http.get(
                        f"{self.fleet.address(role)}/health/ready", timeout=1
                    )
                    is_ready = answer.status_code == httpx.codes.OK
                (self.ready.add if is_ready else self.ready.discard)(role)
            await asyncio.sleep(PROBE_SECONDS)


async def rolling_restart(world: World) -> bool:
    """No request is repeated: every answer but 201 is a failure."""
    settings = world.settings | SETTINGS
    fleet = Fleet(world.folder / "rolling", dict.fromkeys(ROLES, settings), ROLES)
    (world.folder / "rolling").mkdir()
    try:
        await fleet.start()
        async with httpx.AsyncClient() as http:
            return await _roll(world, Balancer(fleet, http))
    finally:
        await asyncio.to_thread(fleet.stop)


async def _roll(world: World, balancer: Balancer) -> bool:
    statuses = list[int]()
    done = asyncio.Event()
    owners = world.clients.owners

    async def send() -> None:
        while not done.is_set():
            base = balancer.fleet.address(world.random.choice(sorted(balancer.ready)))
            answer = await world.clients.send_to(
                base, world.random.choice(owners), world.clients.new_file(), _at_once
            )
            statuses.append(answer.status)
            await asyncio.sleep(PAUSE_SECONDS)  # a steady load, not all that there is room for

    async with asyncio.TaskGroup() as tasks:
        watching = tasks.create_task(balancer.watch())
        everybody = await world.until(
            lambda: len(balancer.ready) == len(ROLES), seconds=END_SECONDS
        )
        senders = [tasks.create_task(send()) for _ in range(CLIENTS)]
        slow = [await _replace(world, balancer, role) for role in ROLES]
        done.set()
        await asyncio.wait(senders)
        watching.cancel()
    failed = [status for status in statuses + slow if status != 201]
    world.notes["requests during rolling restarts"] += len(statuses) + len(slow)
    if failed:
        world.wrong.append(
            f"rolling restart: {len(failed)} requests failed, with {sorted(set(failed))}"
        )
    return everybody and len(statuses) > CLIENTS


async def _replace(world: World, balancer: Balancer, role: str) -> int:
    """
    Stop one process gracefully during a slow upload, and start another instead.

    Returns the status of the upload.
    """
    running = balancer.fleet.running[role]
    base = balancer.fleet.address(role)
    slowly = Slowly(SLOW_SECONDS)
    slow = asyncio.create_task(
        world.clients.send_to(base, world.clients.owners[0], world.clients.new_file(), slowly)
    )
    await slowly.begun.wait()
    running.process.send_signal(signal.SIGTERM)
    code = await asyncio.to_thread(running.process.wait, END_SECONDS)
    if code != 0:
        world.wrong.append(f"rolling restart: {role} ended with {code}")
    await balancer.fleet.start()
    if not await world.until(lambda: role in balancer.ready, seconds=END_SECONDS):
        world.wrong.append(f"rolling restart: {role} did not become ready again")
    return (await slow).status


async def too_slow(world: World) -> bool:
    """A stopping process does not wait forever; an upload that it interrupts can be sent again."""
    settings = (
        world.settings
        | SETTINGS
        | {"SERVER__SHUTDOWN_DELAY_SECONDS": "0", "SERVER__GRACEFUL_SHUTDOWN_SECONDS": "1"}
    )
    fleet = Fleet(world.folder / "too-slow", {ROLES[0]: settings}, ROLES[:1])
    (world.folder / "too-slow").mkdir()
    content = world.clients.new_file()
    owner = world.clients.owners[0]
    slowly = Slowly(TOO_SLOW_SECONDS)
    try:
        await fleet.start()
        running = fleet.running[ROLES[0]]
        base = fleet.address(ROLES[0])
        async with asyncio.TaskGroup() as tasks:
            cut = tasks.create_task(world.clients.send_to(base, owner, content, slowly))
            await slowly.begun.wait()
            running.process.send_signal(signal.SIGTERM)
            code = await asyncio.to_thread(running.process.wait, END_SECONDS)
    finally:
        await asyncio.to_thread(fleet.stop)
    again = await world.clients.upload(content, owner=owner)
    if code != 0 or again.answers[-1].status != 201:
        world.wrong.append(f"cut off: ended with {code}, sent again: {again.answers[-1].status}")
    return cut.result().status not in {200, 201}


class Slowly:
    """A body in pieces, over *seconds*."""

    def __init__(self, seconds: float) -> None:
        self.begun = asyncio.Event()
        self._seconds = seconds

    async def __call__(self, body: bytes) -> AsyncIterator[bytes]:
        """The pieces."""
        step = -(-len(body) // SLOW_PIECES)
        for at in range(0, len(body), step):
            yield body[at : at + step]
            self.begun.set()
            await asyncio.sleep(self._seconds / SLOW_PIECES)


async def _at_once(body: bytes) -> AsyncIterator[bytes]:
    yield body
