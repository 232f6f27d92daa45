"""The port `KeptUploads` with the database."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, case, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_contract import object_keys
from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.erasure_tables import TombstoneRow
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.uploads.model import (
    OutgoingMessage,
    Sha256,
    Upload,
    UploadId,
    UploadState,
)
from healthingest_service.uploads.upkeep_ports import KeptUpload, KeptUploads


class DatabaseKeptUploads(KeptUploads):
    """Rows of `upload` by object key, which the database sorts by bytes."""

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_seconds: float,
        clock: Callable[[], datetime] = utc_now,
        key_hash: Callable[[str], bytes] | None = None,
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._clock = clock
        self._key_hash = key_hash

    @override
    async def between(self, after: str, until: str, *, limit: int) -> Sequence[KeptUpload]:
        wanted = (
            select(UploadRow)
            .where(UploadRow.object_key > after, UploadRow.object_key <= until)
            .where(UploadRow.state != UploadState.STORING, UploadRow.erasure_id.is_(None))
            .order_by(UploadRow.object_key)
            .limit(limit)
        )
        return await self._kept(wanted)

    @override
    async def named(self, upload_ids: Collection[UploadId]) -> Sequence[KeptUpload]:
        wanted = select(UploadRow).where(
            UploadRow.id.in_(upload_ids),
            UploadRow.state != UploadState.STORING,
            UploadRow.erasure_id.is_(None),
        )
        return await self._kept(wanted.order_by(UploadRow.object_key))

    @override
    async def mark_lost(self, upload_id: UploadId, *, at: datetime) -> None:
        stored = UploadRow.state.in_((UploadState.STORED, UploadState.ANNOUNCED))
        marked = update(UploadRow).where(
            UploadRow.id == upload_id, stored, UploadRow.erasure_id.is_(None)
        )
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            await connection.execute(marked.values(state=UploadState.LOST, lost_at=at))

    @override
    async def mark_found(self, upload_id: UploadId) -> None:
        lost = update(UploadRow).where(
            UploadRow.id == upload_id, UploadRow.state == UploadState.LOST
        )
        before = case(
            (UploadRow.announced_at.is_(None), UploadState.STORED.value),
            else_=UploadState.ANNOUNCED.value,
        )
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            await connection.execute(lost.values(state=before, lost_at=None))

    @override
    async def add(self, uploads: Sequence[tuple[Upload, OutgoingMessage]]) -> int:
        wanted = [
            rows.upload_values(upload, lease_until=None) | {"stored_at": upload.stored_at}
            for upload, _ in uploads
        ]
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            dead = await self._erased(connection, [one["object_key"] for one in wanted])
            wanted = [one for one in wanted if one["object_key"] not in dead]
            added = await rows.inserted_ids(connection, UploadRow, wanted)
            messages = [
                rows.outbox_values(message) for upload, message in uploads if upload.id in added
            ]
            if messages:
                await connection.execute(insert(OutboxRow), messages)
        return len(added)

    @override
    async def forget(self, upload_id: UploadId) -> bool:
        lost = select(UploadRow.id).where(
            UploadRow.id == upload_id, UploadRow.state == UploadState.LOST
        )
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            found = await connection.scalar(lost.with_for_update())
            if found is None:
                return False
            await connection.execute(delete(OutboxRow).where(OutboxRow.upload_id == found))
            await connection.execute(delete(UploadRow).where(UploadRow.id == found))
            return True

    @override
    async def erased_keys(self, keys: Collection[str]) -> frozenset[str]:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return await self._erased(connection, keys)

    async def _erased(self, connection: AsyncConnection, keys: Collection[str]) -> frozenset[str]:
        """Return those of *keys* whose upload, subject or account has a tombstone."""
        subject_ids = {key: object_keys.parse(key).user_id for key in keys}
        hashes = {} if self._key_hash is None else {key: self._key_hash(key) for key in keys}
        by_id = select(TombstoneRow.id).where(TombstoneRow.id.in_(set(subject_ids.values())))
        by_hash = select(TombstoneRow.key_hash).where(TombstoneRow.key_hash.in_(hashes.values()))
        found_ids = set(await connection.scalars(by_id)) if subject_ids else set()
        found_hashes = set(await connection.scalars(by_hash)) if hashes else set()
        return frozenset(
            key for key in keys if subject_ids[key] in found_ids or hashes.get(key) in found_hashes
        )

    @override
    async def with_rows(self, keys: Collection[str]) -> frozenset[str]:
        return await self._keys(select(UploadRow.object_key).where(UploadRow.object_key.in_(keys)))

    @override
    async def being_stored(self, keys: Collection[str]) -> frozenset[str]:
        wanted = select(UploadRow.object_key).where(UploadRow.object_key.in_(keys))
        return await self._keys(wanted.where(UploadRow.lease_until >= self._clock()))

    async def _keys(self, wanted: Select[tuple[str]]) -> frozenset[str]:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return frozenset(await connection.scalars(wanted))

    async def _kept(self, wanted: Select[tuple[UploadRow]]) -> Sequence[KeptUpload]:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return [
                KeptUpload(
                    upload_id=UploadId(row.id),
                    key=row.object_key,
                    size_bytes=row.file_size_bytes,
                    sha256=Sha256(row.file_hash),
                    stored_at=row.stored_at or row.received_at,
                    is_lost=row.state == UploadState.LOST,
                )
                for row in await connection.execute(wanted)
            ]
