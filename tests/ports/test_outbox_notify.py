"""Outbox notifications between processes, on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.outbox_notify import listen, notify
from support.deadlines import HANG_SECONDS


@pytest.fixture(name="stop")
async def _stop() -> asyncio.Event:
    return asyncio.Event()


@asynccontextmanager
async def hearing(url: str, stop: asyncio.Event) -> AsyncIterator[asyncio.Event]:
    """Yield the event of a listening process, once it listens."""
    written = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listen(url, written, stop, timeout_seconds=5))
        await heard(written)
        yield written
        stop.set()


async def heard(written: asyncio.Event) -> None:
    """Wait for the notification, and reset the event."""
    async with asyncio.timeout(HANG_SECONDS):
        await written.wait()
    written.clear()


async def ringing(tasks: AsyncExitStack, engine: AsyncEngine, stop: asyncio.Event) -> asyncio.Event:
    """Run a process that notifies when its event is set."""
    written = asyncio.Event()
    group = await tasks.enter_async_context(asyncio.TaskGroup())
    group.create_task(notify(engine, written, stop, timeout_seconds=5))
    return written


async def test_every_other_process_hears_it(postgres_url: str, stop: asyncio.Event) -> None:
    """Each notification, in each process."""
    async with (
        open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine,
        AsyncExitStack() as tasks,
        hearing(postgres_url, stop) as one,
        hearing(postgres_url, stop) as other,
    ):
        written = await ringing(tasks, engine, stop)
        for _ in range(3):
            written.set()
            await heard(one)
            await heard(other)
        stop.set()


async def test_a_listener_comes_back(postgres_url: str, stop: asyncio.Event) -> None:
    """A lost connection is opened again, and a notification is assumed, since one may be lost."""
    async with (
        open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine,
        AsyncExitStack() as tasks,
        hearing(postgres_url, stop) as written,
    ):
        async with engine.begin() as connection:
            await connection.execute(
                text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE query LIKE 'LISTEN%'"
                )
            )
        await heard(written)
        (await ringing(tasks, engine, stop)).set()
        await heard(written)
        stop.set()


async def test_nobody_to_ring_to_is_no_error(stop: asyncio.Event) -> None:
    """The database is gone: the notification is lost, and the work continues."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=0.2
    ) as engine:
        written = asyncio.Event()
        working = asyncio.ensure_future(notify(engine, written, stop, timeout_seconds=0.2))
        for _ in range(2):
            written.set()
            async with asyncio.timeout(HANG_SECONDS):
                while written.is_set():  # noqa: ASYNC110 - it is cleared, which tells nobody
                    await asyncio.sleep(0.005)
        stop.set()
        async with asyncio.timeout(HANG_SECONDS):
            await working
