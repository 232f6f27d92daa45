"""Each fault point in each mode."""

import asyncio
import time
from functools import partial

from support.faults.case import HIT_SECONDS, Case
from support.faults.consistency import check_consistency
from support.faults.points import Fault, Mode, Point, arm, hits
from support.faults.world import LEASE_SECONDS, PART_BYTES, World
from support.samples import block, good_file, long, raw_file, record_of

HANG_SECONDS = LEASE_SECONDS + 1.0
AGAIN_SECONDS = 3.0
RESTART_SECONDS = 10.0
"""A process that has died may need this time on a busy machine."""
LARGE_RECORDS = 20_000
JANITOR = tuple(point for point in Point if point.startswith("janitor_"))
RELAY = tuple(point for point in Point if point.startswith("relay_"))
PARTS = {Point.BETWEEN_PARTS, Point.AFTER_PARTS}
ACCEPTING = tuple(point for point in Point if point not in JANITOR + RELAY)
UNDOING = (Point.JANITOR_AFTER_ABANDON,)
SETTLING = tuple(point for point in JANITOR if point not in UNDOING)
TOGETHER = (ACCEPTING, RELAY, SETTLING, UNDOING)
"""Faults that can wait at the same time."""


def point_cases(*, short: bool) -> list[Case]:
    """Return the cases; the short form combines faults that are possible together."""
    if short:
        kills = [_at(Mode.KILL, *ACCEPTING[at : at + 3]) for at in range(0, len(ACCEPTING), 3)]
        deaths = [(point,) for point in RELAY] + [SETTLING, UNDOING]
        kills += [_at(Mode.KILL, *points) for points in deaths]
        raises = [_at(Mode.RAISE, *points) for points in [ACCEPTING, *deaths]]
        return [*kills, *raises, *(_at(Mode.HANG, *points) for points in TOGETHER)]
    made = [_at(mode, point) for mode in (Mode.KILL, Mode.RAISE, Mode.HANG) for point in Point]
    return [*made, *(_at(Mode.DELAY, *points) for points in TOGETHER)]


def _at(mode: Mode, *points: Point) -> Case:
    seconds = {Mode.HANG: HANG_SECONDS, Mode.DELAY: 0.3}.get(mode, 0.0)
    faults = tuple(Fault(point, mode, seconds) for point in points)
    name = (
        ", ".join(points)
        if len(points) < 3
        else f"{points[0]} … {points[-1]}, {len(points)} points"
    )
    return Case(f"{mode}: {name}", partial(at_points, faults=faults))


async def at_points(world: World, faults: tuple[Fault, ...]) -> bool:
    """Arm the faults, upload a file for each and two more, and wait for every point."""
    before = len(hits(world.faults))
    if faults[0].point in JANITOR:
        for _ in faults:
            await leave_unsettled(world, vanish=faults[0].point in UNDOING)
        before = len(hits(world.faults))
    starts = world.fleet.starts
    points = {one.point for one in faults if isinstance(one.point, Point)}
    for fault in faults:
        arm(world.faults, fault)
    async with asyncio.TaskGroup() as tasks:
        done = asyncio.Event()
        tasks.create_task(keep_alive(world, done))
        await asyncio.gather(
            *(_upload(world, content) for content in _files(world, points, len(faults) + 2))
        )
        seconds = HIT_SECONDS + sum(
            RESTART_SECONDS + fault.seconds for fault in faults
        )  # one process may meet all
        struck = await _until_hit(world, before + len(faults), seconds=seconds)
        deaths = len(faults) if faults[0].mode is Mode.KILL else int(not points & set(ACCEPTING))
        if struck and faults[0].mode in {Mode.KILL, Mode.RAISE}:
            struck = await world.until(
                lambda: world.fleet.starts - starts >= deaths, seconds=HIT_SECONDS
            )
        done.set()
    if faults[0].mode is Mode.KILL and points & PARTS:
        await _abort_unfinished(world)
    return struck


async def _until_hit(world: World, count: int, *, seconds: float) -> bool:
    """
    Whether *count* points were reached in time.

    Further files are sent if a fault keeps files from the next point.
    """
    deadline = time.monotonic() + seconds
    while not await world.until(lambda: len(hits(world.faults)) >= count, seconds=AGAIN_SECONDS):
        if time.monotonic() > deadline:
            return False
        await _upload(world, None)
    return True


async def keep_alive(world: World, done: asyncio.Event) -> None:
    """Restart processes that die, as the kubelet does."""
    while not done.is_set():
        await world.fleet.start()
        await asyncio.sleep(0.05)


async def _abort_unfinished(world: World) -> None:
    """
    Run the consistency check.

    It aborts multipart uploads of dead processes, and finds nothing else.
    """
    await world.heal()
    await world.drained()
    counts = await check_consistency(world)
    world.notes["parts of the dead that the consistency check removed"] += counts.aborted_puts
    world.wrong += [
        f"the consistency check found {count} {kind}"
        for kind, count in counts.discrepancies.items()
        if count
    ]


def _files(world: World, points: set[Point], count: int) -> list[bytes | None]:
    """Return files of the size that reaches the points; None for a small one."""
    files = (
        [good_file(LARGE_RECORDS, seed=world.random.randrange(2**32))]
        if Point.MID_PUT in points
        else []
    )
    files += [file_in_parts(world)] if points & PARTS else []
    return [*files, *[None] * (count - len(files))]


async def _upload(world: World, content: bytes | None) -> None:
    await world.clients.spy(await world.clients.upload(content))


def file_in_parts(world: World) -> bytes:
    """Return a new file of two parts."""
    data = world.random.randbytes(PART_BYTES // 4)
    return raw_file(record_of("bytes"), [block(1, long(len(data)) + data) for _ in range(5)])


def large_file(world: World) -> bytes:
    """Return a new file of several spool pieces and one PUT."""
    data = world.random.randbytes(PART_BYTES // 4)
    return raw_file(record_of("bytes"), [block(1, long(len(data)) + data) for _ in range(3)])


async def leave_unsettled(world: World, *, vanish: bool) -> None:
    """Leave a row `storing` whose client does not return, with its object or without."""
    point = Point.BEFORE_PUT if vanish else Point.AFTER_PUT
    before = len(hits(world.faults))
    arm(world.faults, Fault(point, Mode.RAISE, 0.0))
    await world.clients.upload(patient=False)
    await world.until(lambda: len(hits(world.faults)) > before, seconds=HIT_SECONDS)
