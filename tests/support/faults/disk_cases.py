"""Full disks: of the database, of its log, and of the spools."""

import asyncio

from support.faults.case import HIT_SECONDS, CannotError, Case
from support.faults.point_cases import large_file
from support.faults.world import DATABASE_ERRORS, World
from support.servers.disk import Disk
from support.servers.process import ServerProcess

MOST_UPLOADS = 400
MOST_SEGMENTS = 40
NO_SPACE = b"No space left on device"
PANIC = b"PANIC"


def disk_cases() -> list[Case]:
    """All of them."""
    return [
        Case("database: disk full", database_full),
        Case("database: disk full of its log", log_full),
        Case("spools: disk full", spools_full),
    ]


async def database_full(world: World) -> bool:
    """
    A table cannot grow.

    PostgreSQL logs it, and no affected upload is a success.
    """
    disk, server = _database(world)
    await asyncio.to_thread(disk.fill)
    struck = False
    for _ in range(MOST_UPLOADS // 8):
        attempts = await asyncio.gather(*(world.clients.upload(patient=False) for _ in range(8)))
        struck = _said(server, NO_SPACE)
        if struck and any(attempt.answers[-1].status >= 500 for attempt in attempts):
            break
    await _recover(disk, server)
    return struck


async def log_full(world: World) -> bool:
    """The write-ahead log cannot grow: PostgreSQL ends, and is started again when there is room."""
    disk, server = _database(world)
    await asyncio.to_thread(disk.fill)
    for _ in range(MOST_SEGMENTS):
        try:
            await world.query("SELECT pg_switch_wal()")
        except DATABASE_ERRORS:
            break
        await world.clients.upload(patient=False)
    struck = await world.until(
        lambda: _said(server, PANIC) and _said(server, NO_SPACE), seconds=HIT_SECONDS
    )
    attempts = [await world.clients.upload(patient=False) for _ in range(2)]
    if not all(attempt.answers[-1].status >= 500 for attempt in attempts):
        world.wrong.append("an upload was answered without a database")
    await _recover(disk, server)
    return struck


def _database(world: World) -> tuple[Disk, ServerProcess]:
    disk = world.servers.database.disk
    server = world.servers.database.process
    if disk is None or server is None:
        message = "no leave to mount a small disk"
        raise CannotError(message)
    return disk, server


def _said(server: ServerProcess, text: bytes) -> bool:
    return text in (server.folder / "server.log").read_bytes()


async def _recover(disk: Disk, server: ServerProcess) -> None:
    disk.free()
    await asyncio.to_thread(server.kill)  # it may be giving up, or coming back: both end well
    await asyncio.to_thread(server.start)


async def spools_full(world: World) -> bool:
    """Bodies find no room: the answer is 503, and nothing is left behind."""
    if not world.spools:
        message = "no leave to mount a small disk"
        raise CannotError(message)
    for disk in world.spools:
        await asyncio.to_thread(disk.fill)
    files = [large_file(world) for _ in range(8)]  # small ones need no disk
    attempts = await asyncio.gather(*(world.clients.upload(file, patient=False) for file in files))
    for disk in world.spools:
        disk.free()
    if world.fleet.spooled_bytes():
        world.wrong.append("a body that found no room has left something")
    return all(attempt.answers[-1].status == 503 for attempt in attempts)
