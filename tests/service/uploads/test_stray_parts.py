"""Parts that arrive after their resumable upload has ended."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.adapters.folder_inventory import FolderInventory
from healthingest_service.uploads.model import NewObject
from healthingest_service.uploads.stray_parts import RemoveStrayParts
from support.resumables import part, resumable
from support.uploads import sha256

YOUNG_SECONDS = 3600.0


async def test_only_old_parts_without_an_upload_go(engine: AsyncEngine, tmp_path: Path) -> None:
    """Those of a resumable upload stay, and whatever is no part."""
    root = tmp_path / "objects"
    store = FolderStore(root)
    uploads = DatabaseResumableUploads(engine, 5, 60)
    now = datetime.now(UTC)
    kept, gone = resumable(at=now), resumable(at=now)
    await uploads.create(kept, limit=1)
    keys = [part(kept, 0, 1).key, part(gone, 0, 1).key, "parts/x/1-0", "raw/R/x.avro"]
    for key in keys:
        path = tmp_path / "part"
        path.write_bytes(b"x")
        await store.put(NewObject(key, path, 1, sha256(b"x")))

    def sweep(at: datetime) -> RemoveStrayParts:
        return RemoveStrayParts(
            inventory=FolderInventory(root),
            uploads=uploads,
            store=store,
            young_seconds=YOUNG_SECONDS,
            clock=lambda: at,
        )

    assert await sweep(now).sweep_once() == 0
    assert await sweep(now + timedelta(seconds=YOUNG_SECONDS + 60)).sweep_once() == 1
    assert [await store.remains(key) for key in keys] == [1, 0, 1, 1]
