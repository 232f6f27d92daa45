"""The faults of a run. Each case says what it did; the run heals, drains and judges after it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

from healthingest_service.faults.points import Fault, Mode, Point, arm, hits
from support.faults.proxy import Harm, Proxy, Trouble
from support.faults.world import LEASE_SECONDS, World
from support.samples import good_file
from support.servers.process import ServerProcess, as_user
from support.servers.scripted import answer

HANG_SECONDS = LEASE_SECONDS + 1.0
HIT_SECONDS = 20.0
PAUSED_SECONDS = 3.0
LARGE_RECORDS = 20_000
JANITOR = tuple(point for point in Point if point.startswith("janitor_"))
RELAY = tuple(point for point in Point if point.startswith("relay_"))
ACCEPTING = tuple(point for point in Point if point not in JANITOR + RELAY)
Act = Callable[[World], Awaitable[bool]]


@dataclass(frozen=True)
class Case:
    """`act` meets the world with one fault, and says whether it struck."""

    name: str
    act: Act


async def at_points(world: World, faults: tuple[Fault, ...]) -> bool:
    """Arm, upload one file for each point and two more, and wait until every point was hit."""
    before = len(hits(world.faults))
    if faults[0].point in JANITOR:
        await _leave_unsettled(world, vanish=faults[0].point is Point.JANITOR_AFTER_ABANDON)
        before = len(hits(world.faults))
    for fault in faults:
        arm(world.faults, fault)
    async with asyncio.TaskGroup() as tasks:
        for number in range(len(faults) + 2):
            tasks.create_task(_upload(world, large=number == 0 and Point.MID_PUT in {one.point for one in faults}))
    seconds = HIT_SECONDS + sum(fault.seconds for fault in faults)  # one process may meet them one after the other
    if not await world.until(lambda: len(hits(world.faults)) - before >= len(faults), seconds=seconds):
        return False
    if faults[0].mode is Mode.KILL or (faults[0].mode is Mode.RAISE and faults[0].point in JANITOR + RELAY):
        return await world.until(lambda: bool(world.fleet.dead()), seconds=HIT_SECONDS)
    return True


async def _upload(world: World, *, large: bool) -> None:
    content = None
    if large:
        world.clients.files += 1
        content = good_file(LARGE_RECORDS, seed=world.clients.files * 1000)
    await world.clients.spy(await world.clients.upload(content))


async def _leave_unsettled(world: World, *, vanish: bool) -> None:
    """A row `storing` whose client does not come back: with its object, or without."""
    point = Point.BEFORE_PUT if vanish else Point.AFTER_PUT
    before = len(hits(world.faults))
    arm(world.faults, Fault(point, Mode.RAISE, 0.0))
    await world.clients.upload(patient=False)
    await world.until(lambda: len(hits(world.faults)) > before, seconds=HIT_SECONDS)


async def killed(world: World, server: ServerProcess | None) -> bool:
    """A server dies under way, and comes back."""
    assert server is not None
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(world.clients.upload())
        await asyncio.to_thread(server.kill)
        for _ in range(4):
            tasks.create_task(world.clients.upload())
        await asyncio.sleep(1)  # the outage
        await asyncio.to_thread(server.start)
    return True


async def paused(world: World, server: ServerProcess | None) -> bool:
    """A server stands still, with its connections open, and goes on."""
    assert server is not None
    server.send(signal.SIGSTOP)
    try:
        async with asyncio.TaskGroup() as tasks:
            for _ in range(6):
                tasks.create_task(world.clients.upload())
            await asyncio.sleep(PAUSED_SECONDS)  # the outage
            server.send(signal.SIGCONT)
    finally:
        server.send(signal.SIGCONT)
    return True


async def harmed(world: World, way: Proxy, trouble: Callable[[], Trouble]) -> bool:
    """A connection is harmed at a certain moment."""
    before, way.trouble = way.hits, trouble()
    async with asyncio.TaskGroup() as tasks:
        for _ in range(4):
            tasks.create_task(world.clients.upload())
    return await world.until(lambda: way.hits > before, seconds=HIT_SECONDS)


async def without_topology(world: World, break_it: Callable[[], None]) -> bool:
    """What the operator declares is gone for a while."""
    await asyncio.to_thread(break_it)
    attempts = [await world.clients.upload() for _ in range(4)]
    waiting = await world.query("SELECT count(*) FROM outbox")
    await asyncio.to_thread(world.consumer.declare)
    return waiting[0][0] > 0 and all(len(attempt.answers) == 1 for attempt in attempts)


async def refusing(world: World) -> bool:
    """The queue is full and says so."""
    host, policy = world.servers.broker.virtual_host, {"max-length": 1, "overflow": "reject-publish"}
    await world.deafen()
    body = {"pattern": ".*", "definition": policy, "apply-to": "queues"}
    await asyncio.to_thread(world.servers.broker.call, "PUT", f"/api/policies/{host}/full", body)
    for _ in range(6):
        await world.clients.upload()
    waiting = await world.query("SELECT count(*) FROM outbox")
    await asyncio.to_thread(world.servers.broker.call, "DELETE", f"/api/policies/{host}/full")
    return bool(waiting[0][0] > 0)


async def alarmed(world: World) -> bool:
    """The broker runs out of memory, as it believes, and takes nothing in."""
    await _watermark(world, "0.00001")
    try:
        attempts = [await world.clients.upload() for _ in range(4)]
        waiting = await world.query("SELECT count(*) FROM outbox")
    finally:
        await _watermark(world, "0.6")
    return waiting[0][0] > 0 and all(len(attempt.answers) == 1 for attempt in attempts)


async def _watermark(world: World, fraction: str) -> None:
    broker = world.servers.broker.process
    assert broker is not None
    words = [*as_user("rabbitmq"), "/usr/lib/rabbitmq/bin/rabbitmqctl", "set_vm_memory_high_watermark", fraction]
    process = await asyncio.create_subprocess_exec(
        *words, env=dict(broker.environment), cwd=broker.folder, stdout=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(30):
        assert await process.wait() == 0


async def read_only(world: World) -> bool:
    """The database takes no writes, as after a failover to the wrong side."""
    name = world.database_url.rpartition("/")[2]
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - ours
    server = world.servers.database
    await asyncio.to_thread(server.execute, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    await asyncio.to_thread(server.execute, cut)
    attempts = [await world.clients.upload(patient=False) for _ in range(4)]
    await asyncio.to_thread(server.execute, f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await asyncio.to_thread(server.execute, cut)
    return all(attempt.answers[-1].status >= 500 for attempt in attempts)


async def cache_gone(world: World) -> bool:
    """Redis is gone: nobody is refused for it."""
    cache = world.servers.cache.process
    assert cache is not None
    await asyncio.to_thread(cache.kill)
    attempts = [await world.clients.upload() for _ in range(4)]
    await asyncio.to_thread(cache.start)
    return all(attempt.answers[-1].status == 201 for attempt in attempts)


async def storm(world: World, uploads: int, kills: int) -> bool:
    """Eight clients without pause, and a process or server that dies at random moments."""
    left, doomed = uploads, 0
    servers = (world.servers.broker.process, world.servers.database.process, world.servers.store.process)

    async def client() -> None:
        nonlocal left
        while left > 0:
            left -= 1
            await (world.clients.upload() if world.random.random() > 0.02 else world.clients.upload_refused())

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


def cases(world: World, *, short: bool) -> list[Case]:
    """All of them; in the short form hangs and the API's errors come together."""
    return [
        Case("no fault", calm),
        *_point_cases(short=short),
        *_server_cases(world),
        *_harm_cases(world),
        Case("storm", partial(storm, uploads=300 if short else 10_000, kills=4 if short else 24)),
    ]


async def calm(world: World) -> bool:
    """Uploads, repeats and refusals, and nothing else."""
    content = world.clients.new_file()
    owner = world.clients.owners[0]
    await asyncio.gather(*(world.clients.upload(content, owner=owner) for _ in range(10)))
    await world.clients.upload(content, owner=world.clients.owners[1])
    await world.clients.upload_refused()
    return True


def _point_cases(*, short: bool) -> list[Case]:
    made = [_at(Mode.KILL, point) for point in Point]
    if short:
        made += [_at(Mode.RAISE, *ACCEPTING), *(_at(Mode.RAISE, point) for point in RELAY + JANITOR)]
        return [*made, _at(Mode.HANG, *ACCEPTING), _at(Mode.HANG, *RELAY), *(_at(Mode.HANG, one) for one in JANITOR)]
    return made + [_at(mode, point) for mode in (Mode.RAISE, Mode.HANG, Mode.DELAY) for point in Point]


def _at(mode: Mode, *points: Point) -> Case:
    seconds = {Mode.HANG: HANG_SECONDS, Mode.DELAY: 0.3}.get(mode, 0.0)
    faults = tuple(Fault(point, mode, seconds) for point in points)
    name = points[0] if len(points) == 1 else f"{points[0]} … {points[-1]}, {len(points)} points"
    return Case(f"{mode}: {name}", partial(at_points, faults=faults))


def _server_cases(world: World) -> list[Case]:
    servers, consumer = world.servers, world.consumer
    return [
        Case("broker killed", partial(killed, server=servers.broker.process)),
        Case("broker paused", partial(paused, server=servers.broker.process)),
        Case("broker alarmed", alarmed),
        Case("broker refuses", refusing),
        Case("no queue is bound", partial(without_topology, break_it=consumer.unbind)),
        Case("exchange deleted", partial(without_topology, break_it=consumer.delete_exchange)),
        Case("database killed", partial(killed, server=servers.database.process)),
        Case("database paused", partial(paused, server=servers.database.process)),
        Case("database read-only", read_only),
        Case("store killed", partial(killed, server=servers.store.process)),
        Case("store paused", partial(paused, server=servers.store.process)),
        Case("cache gone", cache_gone),
    ]


def _harm_cases(world: World) -> list[Case]:
    proxies = world.proxies
    put = (f"PUT /{world.servers.store.bucket}/raw/".encode(),)
    begin, complete = (b"raw/HeartRateRecord/", b"COMMIT"), (b"health.processing.", b"COMMIT")
    publish = (b"health.processing.",)
    harms = [
        *(("store", proxies.store, put, harm) for harm in Harm if harm is not Harm.ANSWER),
        *(("first commit", proxies.database, begin, harm) for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)),
        *(("second commit", proxies.database, complete, harm) for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)),
        ("second commit", proxies.database, complete, Harm.SWALLOW_ANSWER),
        *(("publish", proxies.broker, publish, harm) for harm in (Harm.CUT_BEFORE, Harm.LOSE_ANSWER)),
        ("publish", proxies.broker, publish, Harm.SWALLOW_ANSWER),
    ]
    made = [
        Case(f"{name}: {harm}", partial(harmed, way=way, trouble=partial(Trouble, seen, harm, 2.0)))
        for name, way, seen, harm in harms
    ]
    codes = {
        503: "SlowDown",
        500: "InternalError",
        409: "OperationAborted",
        412: "PreconditionFailed",
        403: "AccessDenied",
    }
    return made + [
        Case(
            f"store: answers {status} {code}",
            partial(harmed, way=proxies.store, trouble=partial(Trouble, put, Harm.ANSWER, 0.2, answer(status, code))),
        )
        for status, code in codes.items()
    ]
