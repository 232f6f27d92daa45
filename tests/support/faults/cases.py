"""
All faults of a run, in their order.

After each fault the run restores the system, drains the outbox and checks the history.
"""

import asyncio
from functools import partial

from support.faults.case import Case
from support.faults.disk_cases import disk_cases
from support.faults.gate_cases import gate_cases
from support.faults.harm_cases import harm_cases
from support.faults.point_cases import point_cases
from support.faults.resuming import resumable_cases
from support.faults.rolling import rolling_cases
from support.faults.server_cases import server_cases
from support.faults.syscall_cases import syscall_cases
from support.faults.world import World
from support.servers.process import ServerProcess


def cases(world: World, *, short: bool) -> list[Case]:
    """Return all cases; the short form combines many, and takes a sample."""
    return [
        Case("no fault", calm),
        *point_cases(short=short),
        *resumable_cases(short=short),
        *server_cases(world),
        *harm_cases(world),
        *disk_cases(),
        *gate_cases(),
        *rolling_cases(),
        *syscall_cases(short=short),
        Case("storm", partial(storm, uploads=300 if short else 10_000, kills=4 if short else 24)),
    ]


async def calm(world: World) -> bool:
    """Uploads, repeats and refused files, without a fault."""
    content = world.clients.new_file()
    owner = world.clients.owners[0]
    await asyncio.gather(*(world.clients.upload(content, owner=owner) for _ in range(10)))
    await world.clients.upload(content, owner=world.clients.owners[1])
    await world.clients.upload_refused()
    return True


async def storm(world: World, uploads: int, kills: int) -> bool:
    """Eight clients send continuously, while processes and servers die at random."""
    left = uploads
    doomed = 0
    servers = (
        world.servers.broker.process,
        world.servers.database.process,
        world.servers.store.process,
    )

    async def client() -> None:
        nonlocal left
        while left > 0 or doomed < kills:
            left -= 1
            await (
                world.clients.upload()
                if world.random.random() > 0.02
                else world.clients.upload_refused()
            )

    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(client()) for _ in range(8)]
        while doomed < kills and not all(task.done() for task in working):
            victim = world.random.choice([*world.fleet.running, *servers])
            if isinstance(victim, ServerProcess):
                await asyncio.to_thread(victim.kill)
                await asyncio.to_thread(victim.start)
            elif victim is not None:
                await asyncio.to_thread(world.fleet.kill, victim)
                await world.fleet.start()
            doomed += 1
            await asyncio.sleep(world.random.uniform(0.1, 1.0))
    return doomed == kills
