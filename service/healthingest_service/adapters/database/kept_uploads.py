"""The port `KeptUploads` on the database."""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.uploads.model import Sha256, UploadId, UploadState
from healthingest_service.uploads.upkeep_ports import KeptUpload


class DatabaseKeptUploads:
    """Rows of `upload` by their object keys, which the database orders by bytes."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float, clock: Callable[[], datetime] = utc_now) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    async def between(self, after: str, until: str, *, limit: int) -> Sequence[KeptUpload]:
        """See `KeptUploads.between`."""
        wanted = (
            select(UploadRow)
            .where(UploadRow.object_key > after, UploadRow.object_key <= until)
            .where(UploadRow.state != UploadState.STORING)
            .order_by(UploadRow.object_key)
            .limit(limit)
        )
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds, writes=False) as connection:
            return [
                KeptUpload(
                    upload_id=UploadId(row.id),
                    key=row.object_key,
                    size_bytes=row.file_size_bytes,
                    sha256=Sha256(row.file_hash),
                    stored_at=row.stored_at or row.received_at,
                )
                for row in await connection.execute(wanted)
            ]

    async def known(self, keys: Collection[str]) -> frozenset[str]:
        """See `KeptUploads.known`."""
        return await self._keys(select(UploadRow.object_key).where(UploadRow.object_key.in_(keys)))

    async def being_stored(self, keys: Collection[str]) -> frozenset[str]:
        """See `KeptUploads.being_stored`."""
        wanted = select(UploadRow.object_key).where(UploadRow.object_key.in_(keys))
        return await self._keys(wanted.where(UploadRow.lease_until >= self._clock()))

    async def _keys(self, wanted: Select[tuple[str]]) -> frozenset[str]:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds, writes=False) as connection:
            return frozenset(await connection.scalars(wanted))
