"""The rebuild of the database from a bucket, with both databases and a real S3 server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.events import UploadStored
from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.tables import IdempotencyKeyRow, OutboxRow, UploadRow
from healthingest_service.adapters.s3.inventory import open_s3_inventory
from healthingest_service.adapters.s3.store import S3Store, open_s3_store
from healthingest_service.uploads.model import NewObject, Upload, UploadState
from healthingest_service.uploads.object_metadata import object_metadata
from healthingest_service.uploads.rebuild import RebuildUploads, Rebuilt
from support.s3 import access_to
from support.servers.versitygw import S3Server
from support.uploads import NOON, message, sha256, upload

COUNT = 250
"""More than a page."""


@pytest.fixture(name="store")
async def _store(s3_server: S3Server) -> AsyncIterator[S3Store]:
    async with open_s3_store(access_to(s3_server)) as store:
        yield store


@pytest.fixture(name="rebuild")
async def _rebuild(
    engine: AsyncEngine, s3_server: S3Server, store: S3Store
) -> AsyncIterator[RebuildUploads]:
    async with AsyncExitStack() as stack:
        inventory = await stack.enter_async_context(open_s3_inventory(access_to(s3_server)))
        yield RebuildUploads(
            inventory,
            store,
            DatabaseKeptUploads(engine, timeout_seconds=20),
            bucket="bucket",
            clock=lambda: NOON,
        )


async def stored(store: S3Store, folder: Path, content: bytes) -> Upload:
    """Put an object as an upload does."""
    new = upload(content)
    body = folder / f"{new.id}.body"
    body.write_bytes(content)
    key = new.receipt.object_key
    await store.put(NewObject(key, body, len(content), sha256(content), object_metadata(new)))
    return new


async def kept(engine: AsyncEngine) -> Sequence[Upload]:
    """All uploads, without the times of storing and announcing."""
    async with engine.connect() as connection:
        found = [rows.upload(row) for row in await connection.execute(select(UploadRow))]
    known = (
        replace(one, state=UploadState.STORED, stored_at=None, announced_at=None) for one in found
    )
    return sorted(known, key=lambda one: one.id)


async def test_an_empty_database_is_rebuilt(
    engine: AsyncEngine, store: S3Store, rebuild: RebuildUploads, tmp_path: Path
) -> None:
    """Every row is as it was, and every upload is announced; a second run adds nothing."""
    ledger = DatabaseLedger(engine, timeout_seconds=20)
    for number in range(COUNT):
        new = await stored(store, tmp_path, b"%d" % number)
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=NOON)
    before = await kept(engine)
    async with engine.begin() as connection:
        for table in (OutboxRow, IdempotencyKeyRow, UploadRow):
            await connection.execute(delete(table))
    assert await rebuild(dry=True) == Rebuilt(listed=COUNT, rebuilt=COUNT)
    assert await kept(engine) == []
    assert await rebuild(dry=False) == Rebuilt(listed=COUNT, rebuilt=COUNT)
    assert await kept(engine) == before
    async with DatabaseOutbox(engine, timeout_seconds=20).claim(limit=COUNT + 1) as batch:
        events = [UploadStored.from_bytes(one.body) for one in batch.messages]
    assert {event.idempotency_key for event in events} == {str(one.id) for one in before}
    assert await rebuild(dry=False) == Rebuilt(listed=COUNT, known=COUNT)


async def test_what_is_there_stays_as_it_is(
    engine: AsyncEngine, store: S3Store, rebuild: RebuildUploads, tmp_path: Path
) -> None:
    """An upload in progress is not touched; objects that describe no upload are counted."""
    ledger = DatabaseLedger(engine, timeout_seconds=20, clock=lambda: datetime.now(UTC))
    storing = await stored(store, tmp_path, b"in progress")
    await ledger.begin(storing, idempotency_key=None, lease_seconds=60)
    bare = upload(b"bare")
    body = tmp_path / "body"
    body.write_bytes(b"bare")
    await store.put(NewObject(bare.receipt.object_key, body, 4, sha256(b"bare")))
    await store.put(NewObject("raw/stray.avro", body, 4, sha256(b"bare")))
    assert await rebuild(dry=False) == Rebuilt(listed=3, known=1, unreadable=1, foreign=1)
    async with engine.connect() as connection:
        (row,) = await connection.execute(select(UploadRow))
    assert (row.id, row.state) == (storing.id, UploadState.STORING)
