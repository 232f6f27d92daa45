"""Runs the product's own consistency check at once and for all objects."""

import asyncio
import datetime as dt
import time
from contextlib import AsyncExitStack

from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.adapters.s3.inventory import open_s3_inventory
from healthingest_service.adapters.s3.store import open_s3_store
from healthingest_service.uploads.consistency_check import ConsistencyCheck, ConsistencyRules
from healthingest_service.uploads.discrepancies import ConsistencyCounts
from healthingest_service.uploads.model import NewObject
from support.faults.world import World
from support.s3 import access_to
from support.uploads import sha256

TIMEOUT_SECONDS = 10.0
CHECK_SECONDS = 60.0
RULES = ConsistencyRules(
    interval_seconds=1.0, verify_shares=1, verify_bytes_per_second=2.0**40, young_seconds=0.0
)


def now() -> dt.datetime:
    """Return the present time with its time zone."""
    return dt.datetime.now(dt.UTC)


async def check_consistency(world: World) -> ConsistencyCounts:
    """Compare all objects with all rows, read each, and remove unfinished multipart uploads."""
    server = world.servers.store
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(
            open_engine(world.database_url, pool_size=2, timeout_seconds=TIMEOUT_SECONDS)
        )
        access = access_to(server, timeout_seconds=TIMEOUT_SECONDS)
        check = ConsistencyCheck(
            inventory=await stack.enter_async_context(open_s3_inventory(access)),
            store=await stack.enter_async_context(open_s3_store(access)),
            uploads=DatabaseKeptUploads(engine, timeout_seconds=TIMEOUT_SECONDS),
            jobs=DatabaseScheduledJobs(engine, timeout_seconds=TIMEOUT_SECONDS),
            rules=RULES,
            bucket=server.bucket,
            clock=now,
        )
        deadline = time.monotonic() + CHECK_SECONDS
        while not await check.check_once(asyncio.Event()):  # once an interval
            assert time.monotonic() < deadline
            await asyncio.sleep(0.1)
        return check.counts


async def put_object(world: World, key: str, content: bytes) -> None:
    """Put an object as the service does."""
    path = world.folder / "object"
    path.write_bytes(content)
    async with open_s3_store(
        access_to(world.servers.store, timeout_seconds=TIMEOUT_SECONDS)
    ) as store:
        await store.put(NewObject(key, path, len(content), sha256(content)))
