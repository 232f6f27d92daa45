"""An upload whose subject withdraws while it is in progress is refused, and leaves nothing."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.spool import DiskSpool
from healthingest_service.studies import decisions
from healthingest_service.studies.enrolment import EnrolSubject
from healthingest_service.studies.errors import SubjectWithdrawnError
from healthingest_service.studies.model import Intake, Policy
from healthingest_service.uploads.accept import AcceptUpload, UploadRequest
from healthingest_service.uploads.errors import UploadNotFoundError
from healthingest_service.uploads.janitor import Janitor, Swept
from support.fakes import MemoryStore, ReadyResult
from support.studies import SLUG, SUBJECT, study, subject
from support.uploads import BUCKET, NOON, Clock, owner, principal, upload

CONTENT = b"what a phone sends"


@pytest.fixture
async def studies(engine: AsyncEngine) -> DatabaseStudies:
    """Studies, one of them open."""
    opened = DatabaseStudies(engine, timeout_seconds=5)
    await opened.create(study())
    return opened


async def body() -> AsyncIterator[bytes]:
    """The file."""
    yield CONTENT


async def withdraw(studies: DatabaseStudies) -> None:
    """Let the subject withdraw."""
    await studies.change_subject(SLUG, SUBJECT, partial(decisions.withdrawn, at=NOON))


async def test_while_the_object_is_stored(
    studies: DatabaseStudies,
    ledger: DatabaseLedger,
    outbox: DatabaseOutbox,
    store: MemoryStore,
    clock: Clock,
    tmp_path: Path,
) -> None:
    """No object, no row, no message; a repetition is refused, too."""
    accept = AcceptUpload(
        ledger=ledger,
        store=store,
        gate=ReadyResult(),
        spool=DiskSpool(tmp_path / "spool", max_bytes=1000),
        bucket=BUCKET,
        max_file_bytes=1000,
        lease_seconds=60,
        clock=clock,
        enrol=EnrolSubject(studies, clock=clock),
    )
    account = owner()
    request = partial(
        UploadRequest,
        principal=principal(account),
        correlation_id="correlation",
        idempotency_key=None,
        declared_size_bytes=None,
        intake=Intake(SLUG, SUBJECT, None, Policy()),
    )
    store.meanwhile = [partial(withdraw, studies)]
    for _ in range(2):
        with pytest.raises(SubjectWithdrawnError):
            await accept(request(body=body()))
    assert store.objects == {}
    assert (await ledger.history(account, limit=9)).uploads == ()
    assert (await outbox.backlog()).count == 0


@pytest.mark.parametrize("is_down", [False, True])
async def test_while_its_process_is_dead(
    studies: DatabaseStudies,
    ledger: DatabaseLedger,
    store: MemoryStore,
    clock: Clock,
    *,
    is_down: bool,
) -> None:
    """The janitor removes object and row; while the store is down, both stay."""
    about = subject()
    await studies.change_subject(SLUG, SUBJECT, partial(decisions.enrolled, about))
    new = upload(CONTENT, about=about)
    await ledger.begin(new, idempotency_key=None, lease_seconds=60)
    store.objects[new.receipt.object_key] = CONTENT
    clock.move(61)
    await withdraw(studies)
    janitor = Janitor(
        ledger=ledger,
        store=store,
        clock=clock,
        bucket=BUCKET,
        interval_seconds=1,
        lease_seconds=120,
    )
    if is_down:
        store.refuses_removal = True
        assert await janitor.sweep_once() == Swept(unclear=1)
        store.refuses_removal = False
        clock.move(121)
    assert await janitor.sweep_once() == Swept(abandoned=1)
    assert store.objects == {}
    with pytest.raises(UploadNotFoundError):
        await ledger.find(new.id)
