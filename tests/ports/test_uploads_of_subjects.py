"""The port `Ledger` with studies, on SQLite and on PostgreSQL."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.adapters.database.ledger import BegunUpload, DatabaseLedger
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.study_tables import SubjectRow
from healthingest_service.adapters.database.tables import OutboxRow, UploadRow
from healthingest_service.studies import decisions
from healthingest_service.studies.errors import (
    StudyError,
    SubjectErasedError,
    SubjectNotEnrolledError,
    SubjectWithdrawnError,
)
from healthingest_service.studies.model import Subject, SubjectState
from healthingest_service.uploads.errors import IdempotencyKeyReusedError
from healthingest_service.uploads.model import IdempotencyKey, Upload, UploadState
from support.deadlines import HANG_SECONDS
from support.studies import SLUG, SUBJECT, study, subject
from support.uploads import NOON, message, owner, upload

ROUNDS = 5
UPLOADS = 4
WITHDRAWN = update(SubjectRow).values(state=SubjectState.WITHDRAWN)


@pytest.fixture
def ledger(engine: AsyncEngine) -> DatabaseLedger:
    """A ledger on an empty database."""
    return DatabaseLedger(engine, timeout_seconds=20)


@pytest.fixture
async def studies(engine: AsyncEngine) -> DatabaseStudies:
    """Studies, one of them with the study of the tests."""
    opened = DatabaseStudies(engine, timeout_seconds=20)
    await opened.create(study())
    return opened


async def enrolled(studies: DatabaseStudies, name: str = SUBJECT) -> Subject:
    """Return an enrolled subject."""
    new = subject(name)
    return await studies.change_subject(SLUG, new.pseudonym, partial(decisions.enrolled, new))


async def begin(
    ledger: DatabaseLedger, new: Upload, key: IdempotencyKey | None = None
) -> BegunUpload:
    """Transaction A."""
    return await ledger.begin(new, idempotency_key=key, lease_seconds=60)


async def counts(engine: AsyncEngine) -> tuple[int, int]:
    """Return the numbers of stored rows and of messages."""
    stored = select(func.count()).where(UploadRow.state == UploadState.STORED)
    async with transaction(engine, timeout_seconds=20) as connection:
        return (
            await connection.scalar(stored) or 0,
            await connection.scalar(select(func.count()).select_from(OutboxRow)) or 0,
        )


async def test_study_and_subject_are_kept(ledger: DatabaseLedger, studies: DatabaseStudies) -> None:
    """A plain upload is in the study `default`, and is about its owner."""
    account = owner()
    about = await enrolled(studies)
    for new in (upload(of=account), upload(of=account, about=about)):
        await begin(ledger, new)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        found = await ledger.find(new.id)
        assert (found.study, found.subject) == (new.study, new.subject)
        assert found.subject_name == (new.subject or str(account))


async def test_equal_bytes_of_two_subjects_are_two_uploads(
    ledger: DatabaseLedger, studies: DatabaseStudies
) -> None:
    """And a third one without a subject; each is repeated by itself only."""
    account = owner()
    subjects = (None, await enrolled(studies, "P-1"), await enrolled(studies, "P-2"))
    first = [upload(of=account, about=about) for about in subjects]
    for new in first:
        assert not (await begin(ledger, new)).replayed
        await ledger.complete(new.id, message(new), stored_at=NOON)
    assert len({new.receipt.object_key for new in first}) == 3
    again = [await begin(ledger, upload(of=account, about=about)) for about in subjects]
    assert [one.upload.id for one in again] == [new.id for new in first]
    assert all(one.replayed for one in again)


async def test_an_idempotency_key_is_for_one_subject(
    ledger: DatabaseLedger, studies: DatabaseStudies
) -> None:
    """Equal bytes about another subject with the same key are refused."""
    account = owner()
    key = IdempotencyKey("k")
    await begin(ledger, upload(of=account, about=await enrolled(studies, "P-1")), key)
    with pytest.raises(IdempotencyKeyReusedError):
        await begin(ledger, upload(of=account, about=await enrolled(studies, "P-2")), key)


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (SubjectState.WITHDRAWN, SubjectWithdrawnError),
        (SubjectState.ERASING, SubjectErasedError),
        (SubjectState.ERASED, SubjectErasedError),
    ],
)
async def test_an_upload_does_not_complete_after_its_subject_has_left(
    ledger: DatabaseLedger,
    studies: DatabaseStudies,
    engine: AsyncEngine,
    state: SubjectState,
    error: type[StudyError],
) -> None:
    """No row is stored, and no message written; another subject is not concerned."""
    new = upload(about=await enrolled(studies))
    other = upload(about=await enrolled(studies, "P-2"))
    await begin(ledger, new)
    await begin(ledger, other)
    left = update(SubjectRow).where(SubjectRow.pseudonym == SUBJECT).values(state=state)
    async with transaction(engine, timeout_seconds=20) as connection:
        await connection.execute(left)
    with pytest.raises(error):
        await ledger.complete(new.id, message(new), stored_at=NOON)
    assert await counts(engine) == (0, 0)
    assert (await ledger.find(new.id)).state is UploadState.STORING
    await ledger.complete(other.id, message(other), stored_at=NOON)
    assert await counts(engine) == (1, 1)


async def test_an_upload_about_nobody_does_not_complete(ledger: DatabaseLedger) -> None:
    """A row whose subject is not enrolled is refused."""
    new = upload(about=subject())
    await begin(ledger, new)
    with pytest.raises(SubjectNotEnrolledError):
        await ledger.complete(new.id, message(new), stored_at=NOON)


async def test_a_repeated_completion_still_changes_nothing(
    ledger: DatabaseLedger, studies: DatabaseStudies, engine: AsyncEngine
) -> None:
    """Also after the withdrawal: the upload was acknowledged before."""
    new = upload(about=await enrolled(studies))
    await begin(ledger, new)
    await ledger.complete(new.id, message(new), stored_at=NOON)
    await studies.change_subject(SLUG, SUBJECT, partial(decisions.withdrawn, at=NOON))
    await ledger.complete(new.id, message(new), stored_at=NOON)
    assert await counts(engine) == (1, 1)


async def test_nothing_completes_after_a_withdrawal_was_answered(
    ledger: DatabaseLedger, studies: DatabaseStudies, engine: AsyncEngine
) -> None:
    """Of uploads that complete at that moment, those that were not acknowledged are refused."""
    for n in range(ROUNDS):
        about = await enrolled(studies, f"P-{n}")
        uploads = [upload(bytes([n, one]), about=about) for one in range(UPLOADS)]
        for new in uploads:
            await begin(ledger, new)

        async def complete(new: Upload) -> bool:
            try:
                await ledger.complete(new.id, message(new), stored_at=NOON)
            except SubjectWithdrawnError:
                return False
            return True

        before, _ = await counts(engine)
        tasks = [asyncio.create_task(complete(new)) for new in uploads]
        await studies.change_subject(SLUG, about.pseudonym, partial(decisions.withdrawn, at=NOON))
        at_answer, _ = await counts(engine)
        acknowledged = sum(await asyncio.gather(*tasks))
        assert await counts(engine) == (at_answer, at_answer)
        assert at_answer - before == acknowledged


async def test_a_completion_waits_for_a_withdrawal(
    ledger: DatabaseLedger, studies: DatabaseStudies, engine: AsyncEngine
) -> None:
    """On PostgreSQL it waits for the lock of the subject, and sees the new state."""
    if not is_postgresql(engine):
        pytest.skip("SQLite has one writer at a time")
    new = upload(about=await enrolled(studies))
    await begin(ledger, new)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with engine.begin() as withdrawing:
        await withdrawing.execute(WITHDRAWN)
        completing = asyncio.create_task(ledger.complete(new.id, message(new), stored_at=NOON))
        async with asyncio.timeout(HANG_SECONDS), engine.connect() as observing:
            while not await observing.scalar(waiting):
                assert not completing.done()
    with pytest.raises(SubjectWithdrawnError):
        await completing
