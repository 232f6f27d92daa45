"""The port `Replays` with the database."""

from collections.abc import Sequence

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.uploads.ids import first_upload_id
from healthingest_service.uploads.model import OutgoingMessage, Upload, UploadId, UploadState
from healthingest_service.uploads.relay_ports import Replays, ReplaySelection


class DatabaseReplays(Replays):
    """Selects rows of `upload`, and inserts messages about them into `outbox`."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def page(
        self, selection: ReplaySelection, *, after: UploadId | None, limit: int
    ) -> Sequence[Upload]:
        """
        See `Replays.page`.

        Ids begin with the time of receipt, so a time range is a range of the primary key.
        """
        wanted = select(UploadRow).where(
            UploadRow.state.in_((UploadState.STORED, UploadState.ANNOUNCED)),
            UploadRow.erasure_id.is_(None),
        )
        if selection.ids:
            wanted = wanted.where(UploadRow.id.in_(selection.ids))
        if selection.received_from is not None:
            wanted = wanted.where(UploadRow.id >= first_upload_id(selection.received_from))
            wanted = wanted.where(UploadRow.received_at >= selection.received_from)
        if selection.received_before is not None:
            wanted = wanted.where(UploadRow.received_at < selection.received_before)
        if selection.record_type is not None:
            wanted = wanted.where(UploadRow.record_type == selection.record_type)
        if after is not None:
            wanted = wanted.where(UploadRow.id > after)
        wanted = wanted.order_by(UploadRow.id).limit(limit)
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            return [rows.upload(row) for row in await connection.execute(wanted)]

    @override
    async def put(self, messages: Sequence[OutgoingMessage]) -> int:
        about = [message.upload_id for message in messages]
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            waiting = set(
                await connection.scalars(
                    select(OutboxRow.upload_id).where(OutboxRow.upload_id.in_(about))
                )
            )
            new = [
                rows.outbox_values(message)
                for message in messages
                if message.upload_id not in waiting
            ]
            if new:
                await connection.execute(insert(OutboxRow), new)
            return len(new)
