"""Each named point, met in each mode."""

import asyncio
from functools import partial

from healthingest_service.faults.points import Fault, Mode, Point, arm, hits
from support.faults.audit import audit
from support.faults.case import HIT_SECONDS, Case
from support.faults.world import LEASE_SECONDS, PART_BYTES, World
from support.samples import block, good_file, long, raw_file, record_of

HANG_SECONDS = LEASE_SECONDS + 1.0
LARGE_RECORDS = 20_000
JANITOR = tuple(point for point in Point if point.startswith("janitor_"))
RELAY = tuple(point for point in Point if point.startswith("relay_"))
PARTS = {Point.BETWEEN_PARTS, Point.AFTER_PARTS}
ACCEPTING = tuple(point for point in Point if point not in JANITOR + RELAY)


def point_cases(*, short: bool) -> list[Case]:
    """In the short form what can be met together is."""
    if short:
        made = [_at(Mode.KILL, *ACCEPTING[at : at + 2]) for at in range(0, len(ACCEPTING), 2)]
        made += [_at(Mode.KILL, point) for point in RELAY + JANITOR]
        made += [_at(Mode.RAISE, *ACCEPTING), *(_at(Mode.RAISE, point) for point in RELAY + JANITOR)]
        return [*made, _at(Mode.HANG, *ACCEPTING), _at(Mode.HANG, *RELAY), *(_at(Mode.HANG, one) for one in JANITOR)]
    made = [_at(mode, point) for mode in (Mode.KILL, Mode.RAISE, Mode.HANG) for point in Point]
    return [*made, _at(Mode.DELAY, *ACCEPTING), _at(Mode.DELAY, *RELAY), *(_at(Mode.DELAY, one) for one in JANITOR)]


def _at(mode: Mode, *points: Point) -> Case:
    seconds = {Mode.HANG: HANG_SECONDS, Mode.DELAY: 0.3}.get(mode, 0.0)
    faults = tuple(Fault(point, mode, seconds) for point in points)
    name = ", ".join(points) if len(points) < 3 else f"{points[0]} … {points[-1]}, {len(points)} points"
    return Case(f"{mode}: {name}", partial(at_points, faults=faults))


async def at_points(world: World, faults: tuple[Fault, ...]) -> bool:
    """Arm, upload one file for each point and two more, and wait until every point was hit."""
    before = len(hits(world.faults))
    if faults[0].point in JANITOR:
        await _leave_unsettled(world, vanish=faults[0].point is Point.JANITOR_AFTER_ABANDON)
        before = len(hits(world.faults))
    starts, points = world.fleet.starts, {one.point for one in faults}
    for fault in faults:
        arm(world.faults, fault)
    async with asyncio.TaskGroup() as tasks:
        done = asyncio.Event()
        tasks.create_task(_keep_alive(world, done))
        await asyncio.gather(*(_upload(world, content) for content in _files(world, points, len(faults) + 2)))
        seconds = HIT_SECONDS + sum(fault.seconds for fault in faults)  # one process may meet them one after the other
        struck = await world.until(lambda: len(hits(world.faults)) - before >= len(faults), seconds=seconds)
        if struck and (faults[0].mode is Mode.KILL or (faults[0].mode is Mode.RAISE and not points & set(ACCEPTING))):
            struck = await world.until(lambda: world.fleet.starts - starts >= len(faults), seconds=HIT_SECONDS)
        done.set()
    if faults[0].mode is Mode.KILL and points & PARTS:
        await _abort_unfinished(world)
    return struck


async def _keep_alive(world: World, done: asyncio.Event) -> None:
    """Start whoever dies, as the kubelet does."""
    while not done.is_set():
        await world.fleet.start()
        await asyncio.sleep(0.05)


async def _abort_unfinished(world: World) -> None:
    """Who died could not; the audit removes what is left, and finds nothing else."""
    await world.heal()
    await world.drained()
    counts = await audit(world)
    world.notes["parts of the dead that the audit removed"] += counts.aborted_puts
    world.wrong += [f"the audit found {count} {kind}" for kind, count in counts.findings.items() if count]


def _files(world: World, points: set[Point], count: int) -> list[bytes | None]:
    """Of the size that comes to the points; None: a small one."""
    files = [good_file(LARGE_RECORDS, seed=world.random.randrange(2**32))] if Point.MID_PUT in points else []
    files += [file_in_parts(world)] if points & PARTS else []
    return [*files, *[None] * (count - len(files))]


async def _upload(world: World, content: bytes | None) -> None:
    await world.clients.spy(await world.clients.upload(content))


def file_in_parts(world: World) -> bytes:
    """A file that nobody has sent before, of two parts."""
    data = world.random.randbytes(PART_BYTES // 4)
    return raw_file(record_of("bytes"), [block(1, long(len(data)) + data) for _ in range(5)])


async def _leave_unsettled(world: World, *, vanish: bool) -> None:
    """A row `storing` whose client does not come back: with its object, or without."""
    point = Point.BEFORE_PUT if vanish else Point.AFTER_PUT
    before = len(hits(world.faults))
    arm(world.faults, Fault(point, Mode.RAISE, 0.0))
    await world.clients.upload(patient=False)
    await world.until(lambda: len(hits(world.faults)) > before, seconds=HIT_SECONDS)
