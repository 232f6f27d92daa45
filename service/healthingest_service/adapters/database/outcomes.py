"""The port `Outcomes` with the database."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.outcome_tables import UploadOutcomeRow
from healthingest_service.adapters.database.tables import UploadRow
from healthingest_service.studies.model import StudySlug
from healthingest_service.uploads.errors import UploadNotFoundError
from healthingest_service.uploads.model import UploadId, UploadState
from healthingest_service.uploads.outcomes import (
    ConsumerOutcome,
    Outcomes,
    OutcomeState,
    decided,
)


class DatabaseOutcomes(Outcomes):
    """Rows of `upload_outcome`."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    @override
    async def report(self, upload_id: UploadId, outcome: ConsumerOutcome) -> ConsumerOutcome:
        # The lock orders the reports about an upload, and keeps its row until they are stored.
        locked = (
            select(UploadRow.study)
            .where(
                UploadRow.id == upload_id,
                UploadRow.state != UploadState.STORING,
                UploadRow.erasure_id.is_(None),
            )
            .with_for_update(key_share=True)
        )
        of_upload = UploadOutcomeRow.upload_id == upload_id
        async with transaction(self._engine, timeout_seconds=self._timeout_seconds) as connection:
            study = await connection.scalar(locked)
            if study is None:
                raise UploadNotFoundError
            found = await connection.execute(select(UploadOutcomeRow).where(of_upload))
            kept = [_outcome(row) for row in found]
            stays = decided(kept, outcome)
            if stays is not outcome:
                return stays
            values = {
                "state": outcome.state.value,
                "reason": outcome.reason,
                "reported_at": outcome.reported_at,
            }
            if any(one.consumer == outcome.consumer for one in kept):
                this = (of_upload, UploadOutcomeRow.consumer == outcome.consumer)
                await connection.execute(update(UploadOutcomeRow).where(*this).values(values))
            else:
                key = {"upload_id": upload_id, "consumer": outcome.consumer, "study": study}
                await connection.execute(insert(UploadOutcomeRow).values(key | values))
        return outcome

    @override
    async def of(
        self, upload_ids: Collection[UploadId], *, study: StudySlug | None = None
    ) -> Mapping[UploadId, tuple[ConsumerOutcome, ...]]:
        if not upload_ids:
            return {}
        wanted = (
            select(UploadOutcomeRow)
            .where(UploadOutcomeRow.upload_id.in_(upload_ids))
            .order_by(UploadOutcomeRow.upload_id, UploadOutcomeRow.consumer)
        )
        if study is not None:
            wanted = wanted.where(UploadOutcomeRow.study == study)
        outcomes: dict[UploadId, tuple[ConsumerOutcome, ...]] = {}
        async with transaction(
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=False,
            single=True,
            study=study,
        ) as connection:
            for row in await connection.execute(wanted):
                before = outcomes.get(UploadId(row.upload_id), ())
                outcomes[UploadId(row.upload_id)] = (*before, _outcome(row))
        return outcomes


def _outcome(row: Row[Any]) -> ConsumerOutcome:
    return ConsumerOutcome(
        consumer=row.consumer,
        state=OutcomeState(row.state),
        reason=row.reason,
        reported_at=row.reported_at,
    )
