"""The port `ScheduledJobs` with the database."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.ledger import utc_now
from healthingest_service.adapters.database.tables import ScheduledJobRow
from healthingest_service.uploads.upkeep_ports import ScheduledJobs


class DatabaseScheduledJobs(ScheduledJobs):
    """
    Scheduled jobs, with one row for each job.

    If the process of a job ends, its lease expires and the position stays.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        *,
        timeout_seconds: float,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._clock = clock

    @override
    async def take(self, name: str, slot: int, *, lease_seconds: float) -> str | None:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            now = self._clock()
            mine = {"slot": slot, "lease_until": now + timedelta(seconds=lease_seconds)}
            if await rows.is_inserted(
                connection, ScheduledJobRow, {"name": name, "position": "", **mine}
            ):
                return ""
            row = (
                await connection.execute(
                    select(ScheduledJobRow).where(ScheduledJobRow.name == name).with_for_update()
                )
            ).one()
            is_done = row.finished_slot is not None and row.finished_slot >= slot
            if (
                is_done
                or row.slot > slot
                or (row.lease_until is not None and row.lease_until > now)
            ):
                return None
            position: str = row.position if row.slot == slot else ""
            await connection.execute(
                update(ScheduledJobRow)
                .where(ScheduledJobRow.name == name)
                .values(position=position, **mine)
            )
            return position

    @override
    async def note(self, name: str, slot: int, position: str, *, lease_seconds: float) -> None:
        lease_until = self._clock() + timedelta(seconds=lease_seconds)
        await self._change(name, slot, position=position, lease_until=lease_until)

    @override
    async def finish(self, name: str, slot: int) -> None:
        await self._change(
            name, slot, position="", lease_until=None, finished_slot=slot, finished_at=self._clock()
        )

    @override
    async def finished_at(self, name: str) -> datetime | None:
        async with transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=False
        ) as connection:
            at: datetime | None = await connection.scalar(
                select(ScheduledJobRow.finished_at).where(ScheduledJobRow.name == name)
            )
            return at

    async def _change(self, name: str, slot: int, **values: str | int | datetime | None) -> None:
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            await connection.execute(
                update(ScheduledJobRow)
                .where(ScheduledJobRow.name == name, ScheduledJobRow.slot == slot)
                .where(
                    or_(
                        ScheduledJobRow.finished_slot.is_(None),
                        ScheduledJobRow.finished_slot < slot,
                    )
                )
                .values(**values)
            )
