"""Servers that the service needs are killed or paused, refuse, or are missing."""

import asyncio
import signal
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from support.faults.case import HIT_SECONDS, Case
from support.faults.world import World
from support.servers.process import ServerProcess, as_user

PAUSED_SECONDS = 3.0
_POLL_SECONDS = 0.2
_DEFERRED = "SELECT 1 FROM outbox WHERE deferral_reason = $1 LIMIT 1"


def server_cases(world: World) -> list[Case]:
    """All of them."""
    servers = world.servers
    consumer = world.consumer
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


async def killed(world: World, server: ServerProcess | None) -> bool:
    """A server dies during uploads, and is started again."""
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
    """A server is paused with its connections open, and continues."""
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


async def without_topology(world: World, break_it: Callable[[], None]) -> bool:
    """The topology that the operator declares is missing for a while."""
    await asyncio.to_thread(break_it)
    try:
        return await _is_deferred(world, "unroutable")
    finally:
        await asyncio.to_thread(world.consumer.declare)


async def refusing(world: World) -> bool:
    """The queue is full and refuses messages."""
    host = world.servers.broker.virtual_host
    policy = {"max-length": 1, "overflow": "reject-publish"}
    await world.deafen()
    body = {"pattern": ".*", "definition": policy, "apply-to": "queues"}
    await asyncio.to_thread(world.servers.broker.call, "PUT", f"/api/policies/{host}/full", body)
    try:
        return await _is_deferred(world, "refused")
    finally:
        await asyncio.to_thread(world.servers.broker.call, "DELETE", f"/api/policies/{host}/full")


async def alarmed(world: World) -> bool:
    """The broker has a memory alarm, and accepts no message."""
    await _watermark(world, "0.00001")
    try:
        return await _is_deferred(world, "unreachable")
    finally:
        await _watermark(world, "0.6")


async def _is_deferred(world: World, reason: str) -> bool:
    """
    Send uploads until a message is deferred for *reason*, as the broker acts some time later.

    Returns whether one was in time, and each upload had one answer.
    """
    attempts = []
    with suppress(TimeoutError):
        async with asyncio.timeout(HIT_SECONDS):
            while not await world.query(_DEFERRED, reason):
                attempts.append(await world.clients.upload())
                await asyncio.sleep(_POLL_SECONDS)
    deferred = await world.query(_DEFERRED, reason)
    return bool(deferred) and all(len(attempt.answers) == 1 for attempt in attempts)


async def _watermark(world: World, fraction: str) -> None:
    broker = world.servers.broker.process
    assert broker is not None
    words = [
        *as_user("rabbitmq"),
        "/usr/lib/rabbitmq/bin/rabbitmqctl",
        "set_vm_memory_high_watermark",
        fraction,
    ]
    process = await asyncio.create_subprocess_exec(
        *words, env=dict(broker.environment), cwd=broker.folder, stdout=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(30):
        assert await process.wait() == 0


async def read_only(world: World) -> bool:
    """The database refuses writes, as after a failover to a replica."""
    name = world.database_url.rpartition("/")[2]
    # S608: the name is our own
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608
    server = world.servers.database
    await asyncio.to_thread(
        server.execute, f"ALTER DATABASE {name} SET default_transaction_read_only = on"
    )
    await asyncio.to_thread(server.execute, cut)
    attempts = [await world.clients.upload(patient=False) for _ in range(4)]
    await asyncio.to_thread(
        server.execute, f"ALTER DATABASE {name} RESET default_transaction_read_only"
    )
    await asyncio.to_thread(server.execute, cut)
    return all(attempt.answers[-1].status >= 500 for attempt in attempts)


async def cache_gone(world: World) -> bool:
    """Redis is stopped: no request is refused for it."""
    cache = world.servers.cache.process
    assert cache is not None
    async with asyncio.TaskGroup() as tasks:
        working = [tasks.create_task(world.clients.upload()) for _ in range(4)]
        await asyncio.to_thread(cache.kill)
        working += [tasks.create_task(world.clients.upload()) for _ in range(8)]
    attempts = [task.result() for task in working]
    await asyncio.to_thread(cache.start)
    return all(attempt.answers[-1].status == 201 for attempt in attempts)
