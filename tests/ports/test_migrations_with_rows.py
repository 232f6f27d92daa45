"""
A migration of a database with rows, on SQLite and on PostgreSQL.

`HEALTHINGEST_MIGRATION_ROWS` sets the number of rows.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Final
from uuid import UUID, uuid4

import pytest
from alembic import command
from sqlalchemy import Uuid, bindparam, text
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database import migrate as migrations
from healthingest_service.adapters.database.engine import is_postgresql, open_engine, transaction
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.migrate import is_current, migrate
from healthingest_service.uploads.model import UploadState
from support.uploads import NOON, owner, upload

ROWS: Final = int(os.environ.get("HEALTHINGEST_MIGRATION_ROWS", "2000"))
SECONDS: Final = 300
BEFORE: Final = "0006"
_TEXT: Final = {"postgresql": "md5('{0}' || n)::uuid", "sqlite": "'{0}' || printf('%031d', n)"}
_SERIES: Final = (
    "WITH RECURSIVE s(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {rows}) {statement}"
)
# As the previous version inserts: without the columns that it does not know.
_INSERT: Final = text(
    "INSERT INTO upload (id, owner_id, state, object_key, correlation_id, record_type,"
    " record_count, file_size_bytes, file_hash, schema_name, schema_fingerprint, received_at,"
    " lease_until) VALUES (:id, :owner_id, 'storing', :key, 'c', 'T', 1, 1, :hash, 'T', 'f',"
    " '2026-03-01 12:00:00', '2026-03-01 12:00:00') ON CONFLICT DO NOTHING"
).bindparams(bindparam("id", type_=Uuid()), bindparam("owner_id", type_=Uuid()))


def _statements(kind: str) -> list[str]:
    """Return the statements that fill the tables of uploads."""
    ids = {letter: _TEXT[kind].format(letter) for letter in "uao"}
    rows = {
        "upload (id, owner_id, state, object_key, correlation_id, record_type, record_count,"
        " file_size_bytes, file_hash, schema_name, schema_fingerprint, received_at, stored_at)": (
            f"{ids['u']}, {ids['a']}, 'stored', 'raw/T/' || n, 'c', 'T', 1, 1, 'h' || n, 'T', 'f',"
            " '2026-03-01 12:00:00', '2026-03-01 12:00:00'"
        ),
        "idempotency_key (owner_id, key, upload_id, created_at)": (
            f"{ids['a']}, 'k' || n, {ids['u']}, '2026-03-01 12:00:00'"
        ),
        "outbox (id, upload_id, routing_key, body, headers, created_at, attempts, due_at)": (
            f"{ids['o']}, {ids['u']}, 'r', 'x', '{{}}', '2026-03-01 12:00:00', 0,"
            " '2026-03-01 12:00:00'"
        ),
    }
    series = _SERIES.format(rows=ROWS, statement="SELECT {0} FROM s")
    return [f"INSERT INTO {table} {series.format(values)}" for table, values in rows.items()]


def _upgrade_to_previous(connection: Connection) -> None:
    config = migrations._config()  # the only way to an earlier revision
    config.attributes["connection"] = connection
    command.upgrade(config, BEFORE)


@pytest.fixture(name="previous")
async def _previous(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A database of the previous version, with rows."""
    async with open_engine(database_url, pool_size=2, timeout_seconds=SECONDS) as engine:
        kind = "postgresql" if is_postgresql(engine) else "sqlite"
        async with transaction(engine, timeout_seconds=SECONDS) as connection:
            await connection.run_sync(_upgrade_to_previous)
            for statement in _statements(kind):
                await connection.execute(text(statement.replace(":", r"\:")))
        yield engine


async def _count(engine: AsyncEngine, table: str) -> int:
    async with transaction(engine, timeout_seconds=SECONDS) as connection:
        # S608: a table of the test
        found = await connection.scalar(text(f"SELECT count(*) FROM {table}"))  # noqa: S608
    assert isinstance(found, int)
    return found


async def test_keeps_all_rows(previous: AsyncEngine, database_url: str) -> None:
    """Uploads with their keys and messages are there afterwards, in the study `default`."""
    await migrate(database_url, timeout_seconds=SECONDS)
    assert await is_current(previous)
    counts = [await _count(previous, name) for name in ("upload", "idempotency_key", "outbox")]
    assert counts == [ROWS, ROWS, ROWS]
    assert await _count(previous, "upload WHERE study = 'default' AND subject = ''") == ROWS


async def test_foreign_keys_still_hold(previous: AsyncEngine, database_url: str) -> None:
    """An idempotency key goes with its upload, as before."""
    await migrate(database_url, timeout_seconds=SECONDS)
    async with transaction(previous, timeout_seconds=SECONDS) as connection:
        await connection.execute(text("DELETE FROM outbox"))
        await connection.execute(text("DELETE FROM upload"))
    assert await _count(previous, "idempotency_key") == 0


async def test_the_previous_version_goes_on(previous: AsyncEngine, database_url: str) -> None:
    """Its inserts succeed before, during and after the migration, and are unique afterwards."""
    inserted: asyncio.Queue[int] = asyncio.Queue()

    async def insert(stop: asyncio.Event) -> None:
        while not stop.is_set():
            await inserted.put(await _insert(previous, str(uuid4())))

    stop = asyncio.Event()
    async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as tasks:
        tasks.create_task(insert(stop))
        count = await inserted.get()
        await migrate(database_url, timeout_seconds=SECONDS)
        count += sum(inserted.get_nowait() for _ in range(inserted.qsize()))
        count += sum([await inserted.get() for _ in range(3)])
        stop.set()
    count += sum(inserted.get_nowait() for _ in range(inserted.qsize()))
    assert await _count(previous, "upload") == ROWS + count
    same_owner = uuid4()
    assert [await _insert(previous, "same", same_owner) for _ in range(2)] == [1, 0]


async def test_old_and_new_rows_are_equal_for_the_new_version(
    previous: AsyncEngine, database_url: str
) -> None:
    """The new version recognises the upload of an old process as the same upload."""
    new = upload(of=owner())
    await _insert(previous, new.receipt.file_hash, new.owner, key=new.receipt.object_key)
    await migrate(database_url, timeout_seconds=SECONDS)
    ledger = DatabaseLedger(previous, timeout_seconds=SECONDS)
    begun = await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    assert begun.upload.id != new.id
    assert begun.upload.state is UploadState.STORING
    assert begun.upload.received_at == NOON


async def _insert(
    engine: AsyncEngine, file_hash: str, of: UUID | None = None, key: str | None = None
) -> int:
    """Insert a row as the previous version does; returns 1, or 0 if there is an equal one."""
    values = {
        "id": uuid4(),
        "owner_id": of or uuid4(),
        "key": key or f"raw/T/{uuid4()}",
        "hash": file_hash,
    }
    async with transaction(engine, timeout_seconds=SECONDS) as connection:
        return (await connection.execute(_INSERT, values)).rowcount
