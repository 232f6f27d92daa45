"""The processes of the gate are killed while they read the spool."""

import asyncio
import os
import signal
from contextlib import suppress
from pathlib import Path

from support.faults.case import Case
from support.faults.fleet import API
from support.faults.point_cases import large_file
from support.faults.world import World

FILES = 12
KILLS = 6
UNPROCESSABLE = 422


def gate_cases() -> list[Case]:
    """Return the only case."""
    return [Case("gate killed", killed)]


async def killed(world: World) -> bool:
    """Validators of large files die: no file is refused for it."""
    async with asyncio.TaskGroup() as tasks:
        sending = [tasks.create_task(world.clients.upload(large_file(world))) for _ in range(FILES)]
        kills = 0
        while kills < KILLS and not all(one.done() for one in sending):
            for process_id in _workers(world):
                with suppress(ProcessLookupError):
                    os.kill(process_id, signal.SIGKILL)
                    kills += 1
            await asyncio.sleep(0.1)  # they are started again meanwhile
    statuses = [answer.status for one in sending for answer in one.result().answers]
    if UNPROCESSABLE in statuses:
        world.wrong.append(
            f"{statuses.count(UNPROCESSABLE)} good files were refused for a killed validator"
        )
    return kills > 0 and any(status not in {200, 201} for status in statuses)


def _workers(world: World) -> list[int]:
    """Return the validating processes of all APIs."""
    found = list[int]()
    for role in API:
        tasks = Path(f"/proc/{world.fleet.running[role].process.pid}/task")
        found += [
            int(child)
            for task in tasks.glob("*/children")
            for child in task.read_text("ascii").split()
        ]
    return [one for one in found if b"avro_validation.worker" in _command(one)]


def _command(process_id: int) -> bytes:
    try:
        return Path(f"/proc/{process_id}/cmdline").read_bytes()
    except OSError:  # it has ended meanwhile
        return b""
