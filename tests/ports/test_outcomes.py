"""The port `Outcomes`, on SQLite and on PostgreSQL."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import delete, update
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outcomes import DatabaseOutcomes
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.studies.model import DEFAULT_STUDY, StudySlug
from healthingest_service.uploads.errors import TooManyOutcomesError, UploadNotFoundError
from healthingest_service.uploads.model import Upload, UploadId
from healthingest_service.uploads.outcomes import MAX_OUTCOMES, ConsumerOutcome, OutcomeState
from support.uploads import NOON, message, upload

FAILED = ConsumerOutcome(
    consumer="sleep", state=OutcomeState.FAILED, reason="no-disk", reported_at=NOON
)
LATER = NOON + timedelta(hours=1)
PROCESSED = replace(FAILED, state=OutcomeState.PROCESSED, reason=None, reported_at=LATER)


@pytest.fixture(name="outcomes")
def _outcomes(engine: AsyncEngine) -> DatabaseOutcomes:
    return DatabaseOutcomes(engine, timeout_seconds=5)


@pytest.fixture(name="stored")
async def _stored(engine: AsyncEngine) -> Upload:
    """A stored upload in the study `default`."""
    ledger = DatabaseLedger(engine, timeout_seconds=5)
    new = upload()
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    await ledger.complete(new.id, message(new), stored_at=NOON)
    return new


async def test_a_failure_may_become_a_success(outcomes: DatabaseOutcomes, stored: Upload) -> None:
    """Which is final; a repeated report keeps the time of the first one."""
    later = replace(FAILED, reported_at=LATER)
    assert await outcomes.report(stored.id, FAILED) == FAILED
    assert await outcomes.report(stored.id, later) == FAILED
    assert await outcomes.report(stored.id, replace(later, reason="full")) != FAILED
    assert await outcomes.report(stored.id, PROCESSED) == PROCESSED
    assert await outcomes.report(stored.id, later) == PROCESSED
    other = replace(FAILED, consumer="an-other")
    assert await outcomes.report(stored.id, other) == other
    assert await outcomes.of([stored.id, UploadId(uuid4())]) == {stored.id: (other, PROCESSED)}


async def test_an_upload_has_a_limit_of_consumers(
    outcomes: DatabaseOutcomes, stored: Upload
) -> None:
    """Also if they report at once; those that have reported may do it again."""
    consumers = [replace(FAILED, consumer=f"consumer-{n}") for n in range(MAX_OUTCOMES + 3)]
    reports = (outcomes.report(stored.id, one) for one in consumers)
    done = await asyncio.gather(*reports, return_exceptions=True)
    refused = [one for one in done if isinstance(one, TooManyOutcomesError)]
    assert len(refused) == 3
    (kept,) = (await outcomes.of([stored.id])).values()
    assert len(kept) == MAX_OUTCOMES
    again = replace(kept[0], state=OutcomeState.PROCESSED)
    assert await outcomes.report(stored.id, again) == again


async def test_outcomes_are_of_uploads_that_stay(
    engine: AsyncEngine, outcomes: DatabaseOutcomes, stored: Upload
) -> None:
    """Neither of an unknown upload, nor of one that is being stored or erased; they go with it."""
    storing = upload(b"storing")
    ledger = DatabaseLedger(engine, timeout_seconds=5)
    await ledger.begin(storing, idempotency_key=None, lease_seconds=60)
    for missing in (UploadId(uuid4()), storing.id):
        with pytest.raises(UploadNotFoundError):
            await outcomes.report(missing, FAILED)
    await outcomes.report(stored.id, FAILED)
    this = UploadRow.id == stored.id
    async with transaction(engine, timeout_seconds=5) as connection:
        await connection.execute(update(UploadRow).where(this).values(erasure_id=uuid4()))
    with pytest.raises(UploadNotFoundError):
        await outcomes.report(stored.id, PROCESSED)
    async with transaction(engine, timeout_seconds=5) as connection:
        await connection.execute(delete(OutboxRow).where(OutboxRow.upload_id == stored.id))
        await connection.execute(delete(UploadRow).where(this))
    assert await outcomes.of([stored.id]) == {}


async def test_outcomes_are_listed_for_a_study(outcomes: DatabaseOutcomes, stored: Upload) -> None:
    """Those of another study are not returned."""
    await outcomes.report(stored.id, FAILED)
    assert await outcomes.of([stored.id], study=DEFAULT_STUDY) == {stored.id: (FAILED,)}
    assert await outcomes.of([stored.id], study=StudySlug("other")) == {}
    assert await outcomes.of([]) == {}
