"""The port `IdempotencyKeys` with the database."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.tables import IdempotencyKeyRow
from healthingest_service.uploads.ids import first_upload_id
from healthingest_service.uploads.upkeep_ports import IdempotencyKeys

_KEY: Final = IdempotencyKeyRow.__table__.c


@dataclass(frozen=True, slots=True)
class DatabaseIdempotencyKeys(IdempotencyKeys):
    """
    The keys in the table `idempotency_key`.

    A key is never older than its upload, whose id begins with its time. So the index of these ids
    leads to the old keys, and an upload with a key needs no index of its time.
    """

    engine: AsyncEngine
    timeout_seconds: float

    @override
    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        async with transaction(
            self.engine, timeout_seconds=self.timeout_seconds, single=True
        ) as connection:
            gone = await rows.remove_oldest(
                connection,
                IdempotencyKeyRow,
                _KEY.upload_id < first_upload_id(before),
                _KEY.created_at < before,
                oldest_first=_KEY.upload_id,
                limit=limit,
            )
        return len(gone)
