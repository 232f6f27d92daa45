"""
The consistency check as a janitor runs it.

The composition root builds it, on embedded adapters and on real servers.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from healthingest_service.main.janitor import make_consistency_check, open_inventory
from healthingest_service.main.runtime import Runtime, Store, database_url, open_runtime, open_store
from healthingest_service.settings import Settings
from healthingest_service.settings.groups import DatabaseSettings, JanitorSettings, StoreSettings
from healthingest_service.uploads.model import NewObject, Upload
from support.migrated import migrate_by_copy
from support.uploads import message, upload

if TYPE_CHECKING:
    from support.servers.versitygw import S3Server

LONG_AGO = datetime.now(UTC) - timedelta(days=1)


@pytest.fixture(name="settings", params=["embedded", "real"])
def _settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    janitor = JanitorSettings(verify_shares=1)
    if request.param == "embedded":
        return Settings(data_folder=tmp_path, janitor=janitor)
    server: S3Server = request.getfixturevalue("s3_server")
    store = StoreSettings(
        endpoint=server.endpoint,
        bucket=server.bucket,
        access_key_id=SecretStr(server.access_key_id),
        secret_access_key=SecretStr(server.secret_access_key),
    )
    database = DatabaseSettings(url=SecretStr(request.getfixturevalue("postgres_url")))
    return Settings(data_folder=tmp_path, janitor=janitor, store=store, database=database)


async def keep(
    runtime: Runtime, store: Store, content: bytes, folder: Path, *, stored: bytes | None
) -> Upload:
    """Keep an upload of yesterday with the object *stored*, which can be another one."""
    new = upload(content, at=LONG_AGO)
    await runtime.ledger.begin(new, idempotency_key=None, lease_seconds=60)
    if stored is not None:
        other = upload(stored)
        source = folder / f"{new.id}.body"
        await asyncio.to_thread(source.write_bytes, stored)
        sha256 = other.receipt.file_hash
        await store.port.put(NewObject(new.receipt.object_key, source, len(stored), sha256))
    await runtime.ledger.complete(new.id, message(new), stored_at=LONG_AGO)
    return new


async def test_finds_what_is_wrong(settings: Settings, tmp_path: Path) -> None:
    """
    One upload is intact, one has other bytes, one has lost its object.

    The next check finds them settled.
    """
    await migrate_by_copy(database_url(settings))
    async with AsyncExitStack() as stack:
        runtime = await open_runtime(settings, stack)
        store = await open_store(runtime, stack)
        await keep(runtime, store, b"whole", tmp_path, stored=b"whole")
        await keep(runtime, store, b"other", tmp_path, stored=b"OTHER")
        await keep(runtime, store, b"lost", tmp_path, stored=None)
        check = make_consistency_check(runtime, store, await open_inventory(runtime, stack))
        assert await check.check_once(asyncio.Event())
        assert not await check.check_once(asyncio.Event())
        shown = runtime.metrics.text().decode()
    for kind, count in {
        "other_bytes": 1,
        "row_without_object": 1,
        "object_without_row": 0,
        "unreadable": 0,
    }.items():
        assert f'healthingest_consistency_discrepancies_total{{kind="{kind}"}} {count}.0' in shown
    assert 'healthingest_consistency_work_total{kind="verified_objects"} 2.0' in shown
    assert "healthingest_consistency_last_finished_timestamp_seconds 0.0" not in shown
