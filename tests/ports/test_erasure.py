"""
Erasure: what was confirmed as erased is nowhere, and does not come back.

On SQLite with a folder, and on PostgreSQL with an S3 server that keeps versions.
"""

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import insert, text, update
from structlog.testing import capture_logs
from typing_extensions import override

from healthingest_contract.events import UploadErased
from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    DeviceTokenRow,
    EnrolmentCodeRow,
)
from healthingest_service.adapters.database.engine import is_postgresql, transaction
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.outcome_tables import UploadOutcomeRow
from healthingest_service.adapters.database.tables import Base, UploadRow
from healthingest_service.adapters.folder import FolderStore
from healthingest_service.erasure import certificate
from healthingest_service.erasure.erase import Outcome
from healthingest_service.erasure.errors import InvalidCertificateError
from healthingest_service.erasure.model import Erasure, ErasureKind, ErasureState
from healthingest_service.erasure.retention_check import RETENTION_BELOW_LOCK, CheckRetention
from healthingest_service.studies import decisions
from healthingest_service.studies.errors import (
    StudyErasedError,
    StudyError,
    SubjectErasedError,
)
from healthingest_service.studies.model import Consent, StudyChange, StudySlug, SubjectState
from healthingest_service.uploads.errors import (
    ObjectLockedError,
    StoreRefusedError,
    StoreUnavailableError,
    UploadErasedError,
    UploadError,
    UploadNotFoundError,
)
from healthingest_service.uploads.model import IdempotencyKey, Upload
from healthingest_service.uploads.removal import removal
from support.deadlines import HANG_SECONDS
from support.erasure_points import EndedError, EndsAt, ErasurePoint
from support.erasures import KEYS, LEASE_SECONDS, PSEUDONYM, RULES, ErasureWorld
from support.studies import SLUG, study
from support.uploads import message, owner, upload

ROUNDS = 3


async def test_a_subject_is_erased(world: ErasureWorld) -> None:
    """
    Objects with all versions, rows, keys, messages and the pseudonym are gone.

    Another subject's are untouched. Consumers are told of each erased upload.
    """
    account = owner()
    about = await world.enrol(PSEUDONYM, consent=Consent("marker-of-a-consent", world.clock.now))
    other = await world.enrol("other")
    gone = [
        await world.upload(
            f"{n}".encode(), of=account, about=about, key=IdempotencyKey(f"marker-of-a-key-{n}")
        )
        for n in range(5)
    ]
    kept = await world.upload(b"0", of=account, about=other)
    await world.put(gone[0], b"0")
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=account)
    assert await world.erasures.request_subject(SLUG, PSEUDONYM, by=None) == erasure
    done = await world.finish(erasure)
    assert done.state is ErasureState.DONE
    assert (done.counts.uploads, done.counts.subjects, done.counts.withdrawn) == (5, 1, 5)
    for one in gone:
        assert await world.store.remains(one.receipt.object_key) == 0
        with pytest.raises(UploadNotFoundError):
            await world.ledger.find(one.id)
    texts = await world.texts()
    assert "marker" not in texts
    assert not [one for one in gone[1:] if one.receipt.file_hash in texts]
    versions = 6 if is_postgresql(world.engine) else 5  # a folder keeps no versions
    assert done.counts.versions == versions
    assert await world.store.remains(kept.receipt.object_key) == 1
    assert await world.ledger.find(kept.id)
    told = [
        UploadErased.from_bytes(one.body) for one in await world.messages() if not one.upload_id
    ]
    assert {one.upload_id for one in told} == {one.id for one in gone}
    assert {one.reason for one in told} == {ErasureKind.SUBJECT}
    found = await world.studies.subject(SLUG, PSEUDONYM)
    assert found is not None
    assert (found.state, found.consent) == (SubjectState.ERASED, None)
    assert await world.erasures.request_subject(SLUG, PSEUDONYM, by=None) == done


async def test_an_object_that_comes_after_its_erasure_goes(world: ErasureWorld) -> None:
    """Its process stood still for longer than its lease, and stores it when it goes on."""
    about = await world.enrol(PSEUDONYM)
    new = upload(b"late", about=about)
    await world.ledger.begin(new, idempotency_key=None, lease_seconds=60)
    world.clock.move(61)
    await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    await world.put(new, b"late")
    with pytest.raises(UploadErasedError) as refused:
        await world.ledger.complete(new.id, message(new), stored_at=world.clock.now)
    await world.ledger.abandon(new.id, remove=removal(world.store, new, refused.value))
    assert await world.store.remains(new.receipt.object_key) == 0


async def test_no_statistics_of_an_empty_table_name_a_person(world: ErasureWorld) -> None:
    """ANALYZE keeps those of a table that became empty, such as the outbox."""
    if not is_postgresql(world.engine):
        pytest.skip("SQLite has statistics of indexes alone, without values")
    about = await world.enrol(PSEUDONYM)
    for number in range(3):
        await world.upload(f"{number}".encode(), about=about, key=IdempotencyKey(f"{number}"))
    async with transaction(world.engine, timeout_seconds=20) as connection:
        await connection.execute(text("ANALYZE"))
        found = await connection.execute(text("SELECT tablename, attname FROM pg_stats"))
        known = {tuple(row) for row in found}
    assert ("outbox", "routing_key") in known
    naming = {("outbox", "body"), ("outbox", "headers"), ("idempotency_key", "key")}
    assert not naming & known


async def test_credentials_of_a_subject_go(world: ErasureWorld) -> None:
    """Its device tokens and enrolment codes name its pseudonym; those of others stay."""
    account = uuid4()
    values = {"email": "a@clinic.example", "hashed_password": "x", "is_active": True}
    values |= {"id": account, "is_superuser": False, "is_verified": True}
    for name in (PSEUDONYM, "other"):
        await world.enrol(name)
    at = world.clock.now
    async with transaction(world.engine, timeout_seconds=20) as connection:
        await connection.execute(insert(AccountRow).values(values))
        for name in (PSEUDONYM, "other"):
            of = {"study": SLUG, "subject": name, "scopes": "upload:write", "created_at": at}
            of |= {"id": uuid4()}
            token = of | {"token_hash": name, "account_id": account, "name": "watch"}
            code = of | {"code_hash": name, "expires_at": at}
            await connection.execute(insert(DeviceTokenRow).values(token))
            await connection.execute(insert(EnrolmentCodeRow).values(code))
    await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    assert PSEUDONYM not in await world.texts()
    backup = await world.backup()
    assert [len(backup[name]) for name in ("device_token", "enrolment_code")] == [1, 1]


async def test_the_certificate_verifies(world: ErasureWorld) -> None:
    """With the public key; a changed one does not. It names no person."""
    about = await world.enrol(PSEUDONYM)
    await world.upload(b"1", about=about)
    done = await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    assert done.certificate is not None
    public = KEYS.certificates.public_key()
    claims = certificate.verify(done.certificate, public)
    assert (claims["erasure_id"], claims["counts"]["uploads"]) == (str(done.id), 1)
    assert PSEUDONYM not in str(claims)
    head, body, mac = done.certificate.split(".")
    for changed in (f"{head}.{body}x.{mac}", f"{head}.{body}.{mac[::-1]}", "", "x" * 10_000):
        with pytest.raises(InvalidCertificateError):
            certificate.verify(changed, public)


async def test_erased_bytes_do_not_come_back(world: ErasureWorld) -> None:
    """A retry is refused, also with its idempotency key. Others may send the same bytes."""
    account = owner()
    key = IdempotencyKey("k")
    new = await world.upload(b"1", of=account, key=key)
    erasure = await world.erasures.request_upload(new.id, by=account)
    for turn in range(2):
        for again in (None, key):
            with pytest.raises(UploadErasedError):
                await world.begin(b"1", of=account, key=again)
        if not turn:
            await world.finish(erasure)
    await world.upload(b"2", of=account)
    await world.upload(b"1", of=owner())
    assert (await world.erasures.request_upload(new.id, by=account)).id == erasure.id
    found = await world.erasures.of_upload(new.id)
    assert found is not None
    assert found.id == erasure.id
    with pytest.raises(UploadNotFoundError):
        await world.erasures.request_upload(upload().id, by=account)


async def test_a_subject_is_enrolled_anew(world: ErasureWorld) -> None:
    """
    With a consent that is given later. Data that was sent before stays refused.

    It can be erased once more.
    """
    account = owner()
    before = await world.enrol(PSEUDONYM)
    await world.upload(b"1", of=account, about=before)
    first = await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    with pytest.raises(SubjectErasedError):
        await world.enrol(PSEUDONYM)
    await world.later(days=1)
    again = await world.enrol(PSEUDONYM, consent=Consent("v2", world.clock.now))
    assert again.id != before.id
    with pytest.raises(SubjectErasedError):
        await world.begin(b"2", of=account, about=before)
    await world.upload(b"1", of=account, about=again)
    second = await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    assert second.id != first.id
    assert PSEUDONYM not in await world.texts()


@pytest.mark.parametrize("point", ErasurePoint)
async def test_it_resumes_after_an_end_at_any_point(
    world: ErasureWorld, point: ErasurePoint
) -> None:
    """A process that ends there leaves a rest that another one erases; nothing comes back."""
    account = owner()
    about = await world.enrol(PSEUDONYM)
    gone = [await world.upload(f"{n}".encode(), of=account, about=about) for n in range(3)]
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    ended = EndsAt(point)
    erase = world.erase(
        ended.around(world.work), ended.around(world.store), ended.around(world.log)
    )
    with pytest.raises(EndedError):
        await erase.erase_next()
    world.clock.move(LEASE_SECONDS + 1)
    if point is ErasurePoint.AFTER_FINISH:
        assert await world.erase().erase_next() is None
    done = await world.finish(erasure) if point is not ErasurePoint.AFTER_FINISH else None
    for number, one in enumerate(gone):
        assert await world.store.remains(one.receipt.object_key) == 0
        with pytest.raises(SubjectErasedError):
            await world.begin(f"{number}".encode(), of=account, about=about)
    assert PSEUDONYM not in await world.texts()
    told = [UploadErased.from_bytes(one.body).upload_id for one in await world.messages()]
    assert sorted(told) == sorted(one.id for one in gone)
    if done is not None:
        assert done.counts.uploads == 3


async def test_a_restored_database_is_erased_again(world: ErasureWorld) -> None:
    """
    It has rows and a subject that were erased since, and lacks the tombstones of later uploads.

    Objects that came back with a copy of the bucket go, too.
    """
    account = owner()
    about = await world.enrol(PSEUDONYM)
    before = await world.upload(b"1", of=account, about=about)
    kept = await world.upload(b"kept", of=account)
    backup = await world.backup()
    after = await world.upload(b"2", of=account)
    await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    await world.finish(await world.erasures.request_upload(after.id, by=None))
    assert await world.restore() == 0
    await world.bring_back(backup)
    await world.put(before, b"1")
    assert await world.ledger.find(before.id)
    assert await world.restore() > 0
    with pytest.raises(SubjectErasedError):
        await world.begin(b"3", of=account, about=about)
    with pytest.raises(UploadErasedError):
        await world.begin(b"2", of=account)
    while await world.erase().erase_next() is not None:
        world.clock.move(1)
    assert await world.store.remains(before.receipt.object_key) == 0
    with pytest.raises(UploadNotFoundError):
        await world.ledger.find(before.id)
    assert PSEUDONYM not in await world.texts()
    assert await world.ledger.find(kept.id)
    assert await world.restore() == 0
    with pytest.raises(SubjectErasedError):
        await world.enrol(PSEUDONYM)


async def test_a_request_in_its_hold_time_is_restored(world: ErasureWorld) -> None:
    """Intake is refused again, and the hold time is kept."""
    account = owner()
    about = await world.enrol(PSEUDONYM)
    hold = StudyChange(policy={"erasure_hold_seconds": 3600})
    await world.studies.change(SLUG, lambda one: decisions.changed(one, hold))
    new = await world.upload(b"1", of=account, about=about)
    backup = await world.backup()
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    assert await world.erase().erase_next() is None
    await world.bring_back(backup)
    assert await world.restore() == 1
    with pytest.raises(SubjectErasedError):
        await world.begin(b"2", of=account, about=about)
    assert await world.erase().erase_next() is None
    assert await world.store.remains(new.receipt.object_key) == 1
    world.clock.move(3601)
    assert (await world.finish(erasure)).counts.uploads == 1


async def test_objects_of_others_are_not_applied(world: ErasureWorld) -> None:
    """An object that was changed, or written without the key, erases nothing."""
    new = await world.upload(b"1")
    await world.finish(await world.erasures.request_upload(new.id, by=None))
    (name, *_) = await world.log.names(after="erasures/", limit=10)
    content = await world.log.read(name)
    for number, forged in enumerate((content.replace(b"upload", b"study"), b"{}", b"\xff")):
        await world.log.put(f"erasures/{new.id}/forged-{number}.json", forged)
    assert await world.restore() == 0


async def _request(
    world: ErasureWorld, kind: str, begun: list[Upload], answered: asyncio.Event
) -> Erasure:
    """Request an erasure of these uploads, of the kind `upload` only of the last one."""
    last = begun[-1]
    if kind == "account":
        erasure = await world.erasures.request_account(last.owner, by=None)
    elif kind == "study":
        erasure = await world.erasures.request_study(SLUG, by=None)
    elif last.subject is not None:
        erasure = await world.erasures.request_subject(SLUG, last.subject, by=None)
    else:
        erasure = await world.erasures.request_upload(last.id, by=None)
    answered.set()
    return erasure


async def _complete(world: ErasureWorld, one: Upload, after: asyncio.Event | None) -> bool:
    """Complete an upload, perhaps after the request was answered; returns whether it succeeded."""
    if after is not None:
        await after.wait()
    try:
        await world.ledger.complete(one.id, message(one), stored_at=world.clock.now)
    except (StudyError, UploadError):
        return False
    return True


@pytest.mark.parametrize("turn", range(ROUNDS))
@pytest.mark.parametrize("kind", ["subject", "account", "upload", "study"])
async def test_no_upload_in_flight_succeeds(world: ErasureWorld, kind: str, turn: int) -> None:
    """
    The race: after the request was answered none is acknowledged, and none leaves an object.

    Some completions and the request run at the same time, others begin after the answer.
    """
    account = owner()
    about = await world.enrol(f"p-{turn}") if kind in {"subject", "study"} else None
    begun = [await world.begin(f"{n}".encode(), of=account, about=about) for n in range(4)]
    answered = asyncio.Event()
    requesting = asyncio.create_task(_request(world, kind, begun, answered))
    succeeded = await asyncio.gather(
        *(_complete(world, one, answered if n > 1 else None) for n, one in enumerate(begun))
    )
    erasure = await requesting
    assert not any(succeeded[3:] if kind == "upload" else succeeded[2:])
    await world.finish(erasure)
    gone = begun[3:] if kind == "upload" else begun
    assert not any([await world.store.remains(one.receipt.object_key) for one in gone])


async def test_a_completion_that_waits_for_the_mark_refuses(world: ErasureWorld) -> None:
    """On PostgreSQL it waits for the lock of the row, and sees the mark when it goes on."""
    if not is_postgresql(world.engine):
        pytest.skip("SQLite has one writer at a time")
    new = await world.begin(b"1")
    mark = update(UploadRow).where(UploadRow.id == new.id).values(erasure_id=new.id)
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with world.engine.begin() as requesting:
        await requesting.execute(mark)
        completing = asyncio.create_task(
            world.ledger.complete(new.id, message(new), stored_at=world.clock.now)
        )
        async with asyncio.timeout(HANG_SECONDS), world.engine.connect() as observing:
            while not await observing.scalar(waiting):
                assert not completing.done()
    with pytest.raises(UploadErasedError):
        await completing


async def test_a_row_that_was_begun_before_its_tombstone_does_not_complete(
    world: ErasureWorld,
) -> None:
    """A statement that saw no tombstone may insert the row late; its completion sees it."""
    account = owner()
    new = await world.upload(b"1", of=account)
    await world.finish(await world.erasures.request_upload(new.id, by=None))
    late = upload(b"1", of=account, at=world.clock.now)
    values = rows.upload_values(late, world.clock.now) | {"erasure_hash": KEYS.upload_hash(late)}
    async with transaction(world.engine, timeout_seconds=20) as connection:
        await connection.execute(insert(UploadRow).values(values))
    with pytest.raises(UploadErasedError):
        await world.ledger.complete(late.id, message(late), stored_at=world.clock.now)


async def test_a_held_upload_is_waited_for(world: ErasureWorld) -> None:
    """An upload whose process may live is erased after its lease; its lease is not renewed."""
    about = await world.enrol(PSEUDONYM)
    new = await world.begin(b"1", about=about)
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    with pytest.raises(UploadNotFoundError):
        await world.ledger.renew(new.id, lease_seconds=LEASE_SECONDS)
    assert await world.erase().erase_next() is Outcome.DELAYED
    assert await world.store.remains(new.receipt.object_key) == 1
    done = await world.finish(erasure)
    assert await world.store.remains(new.receipt.object_key) == 0
    assert done.counts.uploads == 1


async def test_an_account_is_erased(world: ErasureWorld) -> None:
    """Its uploads without a study; those about subjects stay. Its next uploads are refused."""
    account = owner()
    about = await world.enrol("other")
    new = await world.upload(b"1", of=account)
    kept = await world.upload(b"1", of=account, about=about)
    done = await world.finish(await world.erasures.request_account(account, by=account))
    assert await world.store.remains(new.receipt.object_key) == 0
    assert await world.store.remains(kept.receipt.object_key) == 1
    assert done.counts.uploads == 1
    for content in (b"1", b"2"):
        with pytest.raises(SubjectErasedError):
            await world.begin(content, of=account)


async def test_a_study_is_erased(world: ErasureWorld) -> None:
    """All its subjects; it accepts nothing any more, and cannot be opened."""
    subjects = [await world.enrol(f"marker-{n}") for n in range(3)]
    gone = [await world.upload(b"1", about=one) for one in subjects]
    plain = await world.upload(b"1")
    done = await world.finish(await world.erasures.request_study(SLUG, by=None))
    assert (done.counts.uploads, done.counts.subjects) == (3, 3)
    assert [await world.store.remains(one.receipt.object_key) for one in gone] == [0, 0, 0]
    assert await world.store.remains(plain.receipt.object_key) == 1
    assert "marker" not in await world.texts()
    for name in ("marker-0", "new"):
        with pytest.raises((StudyErasedError, SubjectErasedError)):
            await world.enrol(name)
    with pytest.raises(StudyErasedError):
        await world.studies.change(SLUG, lambda one: decisions.changed(one, StudyChange(name="x")))
    assert (await world.erasures.request_study(SLUG, by=None)).id == done.id


async def test_old_uploads_are_erased(world: ErasureWorld) -> None:
    """By the policy of their study; the study goes on, and its subjects stay active."""
    about = await world.enrol("p-1")
    await world.studies.change(
        SLUG, lambda one: decisions.changed(one, StudyChange(policy={"retention_days": 7}))
    )
    old = await world.upload(b"1", about=about)
    await world.later(days=9)
    new = await world.upload(b"2", about=about)
    slot = timedelta(days=1)
    assert [await world.erasures.request_due(world.clock.now, slot=slot) for _ in range(2)] == [
        1,
        0,
    ]
    assert await world.erase().erase_next() is Outcome.DONE
    assert await world.store.remains(old.receipt.object_key) == 0
    assert await world.store.remains(new.receipt.object_key) == 1
    assert await world.erasures.request_due(world.clock.now, slot=slot) == 0
    await world.upload(b"3", about=about)


async def test_studies_below_the_lock_are_reported(world: ErasureWorld) -> None:
    """Each that keeps data for fewer days is logged once; all are counted again and again."""
    for slug, days in (("a", 7), ("b", 29), ("c", 30), ("d", None), ("e", 7)):
        await world.studies.create(study(slug, retention_days=days))
    await world.erasures.request_study(StudySlug("e"), by=None)
    counted: list[int] = []
    check = CheckRetention(world.erasures, lock_days=30, report=counted.append)
    with capture_logs() as logs:
        for _ in range(2):
            await check()
        await world.studies.change(
            StudySlug("a"),
            lambda one: decisions.changed(one, StudyChange(policy={"retention_days": 30})),
        )
        await check()
    assert counted == [2, 2, 1]
    assert [one["study"] for one in logs if one["event"] == RETENTION_BELOW_LOCK] == ["a", "b"]
    assert await world.erasures.below(0, limit=5) == []
    assert await world.erasures.below(30, limit=1) == ["b"]


async def test_a_hold_delays_it(world: ErasureWorld) -> None:
    """Intake is refused at once; the data goes after the time that the study's policy says."""
    about = await world.enrol(PSEUDONYM)
    hold = StudyChange(policy={"erasure_hold_seconds": 3600})
    await world.studies.change(SLUG, lambda one: decisions.changed(one, hold))
    new = await world.upload(b"1", about=about)
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    assert erasure.state is ErasureState.HOLDING
    assert await world.erase().erase_next() is None
    with pytest.raises(SubjectErasedError):
        await world.begin(b"2", about=about)
    assert await world.store.remains(new.receipt.object_key) == 1
    world.clock.move(3601)
    assert (await world.finish(erasure)).counts.uploads == 1


async def test_a_late_object_is_recognised(world: ErasureWorld) -> None:
    """Of an erased upload and of an erased subject, by its key; another object is none."""
    about = await world.enrol(PSEUDONYM)
    erased = await world.upload(b"1")
    never = upload(b"2", about=about)
    await world.finish(await world.erasures.request_upload(erased.id, by=None))
    await world.finish(await world.erasures.request_subject(SLUG, PSEUDONYM, by=None))
    late = {erased.receipt.object_key, never.receipt.object_key}
    assert await world.kept.erased_keys(late | {upload(b"1").receipt.object_key}) == late


async def test_announced_uploads_are_counted(world: ErasureWorld) -> None:
    """A message that a relay publishes is waited for; the certificate has the number."""
    account = owner()
    new = await world.upload(b"1", of=account)
    outbox = DatabaseOutbox(world.engine, timeout_seconds=20, clock=world.clock)
    erasure = await world.erasures.request_upload(new.id, by=account)
    async with outbox.claim(limit=1) as batch:
        assert await world.erase().erase_next() is Outcome.DELAYED
        await batch.announced(batch.messages[0].id, at=world.clock.now)
    world.clock.move(5)
    done = await world.finish(erasure)
    assert (done.counts.announced, done.counts.withdrawn) == (1, 0)
    assert [one.upload_id for one in await world.messages()] == [None]


@dataclass
class LockedStore(FolderStore):
    """A folder whose objects cannot be removed before a time."""

    root: Path
    until: datetime | None
    is_locked: bool = True

    def __post_init__(self) -> None:
        super().__init__(self.root)

    @override
    async def erase(self, key: str) -> int:
        if self.is_locked:
            raise ObjectLockedError(self.until)
        return await super().erase(key)


@pytest.mark.parametrize("days", [None, 3])
async def test_a_lock_blocks_it(world: ErasureWorld, days: int | None) -> None:
    """The date says when it goes on; a legal hold is looked at once a day."""
    at = world.clock.now
    until = None if days is None else at + timedelta(days=days)
    world.store = LockedStore(world.folder / "locked", until)
    new = await world.upload(b"1")
    erasure = await world.erasures.request_upload(new.id, by=None)
    assert await world.erase().erase_next() is Outcome.BLOCKED
    blocked = await world.erasures.find(erasure.id)
    assert blocked is not None
    assert (blocked.state, blocked.blocked_until) == (
        ErasureState.BLOCKED,
        at + timedelta(days=days or 1),
    )
    assert await world.erase().erase_next() is None
    with pytest.raises(UploadErasedError):
        await world.begin(b"1", of=new.owner)
    await world.later(days=4)
    world.store.is_locked = False
    done = await world.finish(erasure)
    assert (done.counts.uploads, await world.store.remains(new.receipt.object_key)) == (1, 0)


@pytest.mark.parametrize("fault", [StoreUnavailableError, StoreRefusedError])
async def test_a_store_that_fails_delays_it(
    world: ErasureWorld, fault: type[StoreUnavailableError | StoreRefusedError]
) -> None:
    """Nothing is confirmed; the work goes on when the store answers."""
    new = await world.upload(b"1")
    erasure = await world.erasures.request_upload(new.id, by=None)
    good = world.store
    world.store = FailingStore(world.folder / "failing", fault)
    assert await world.erase().erase_next() is Outcome.FAILED
    assert await world.erase().erase_next() is None
    world.store = good
    world.clock.move(5)
    assert (await world.finish(erasure)).counts.uploads == 1
    assert await good.remains(new.receipt.object_key) == 0


@dataclass
class FailingStore(FolderStore):
    """A folder that removes nothing."""

    root: Path
    fault: type[StoreUnavailableError | StoreRefusedError]

    def __post_init__(self) -> None:
        super().__init__(self.root)

    @override
    async def erase(self, key: str) -> int:
        raise self.fault


async def test_what_was_removed_stays_removed(world: ErasureWorld) -> None:
    """If the store removes some objects only, their uploads go; the others are tried again."""
    about = await world.enrol(PSEUDONYM)
    world.store = EverySecondStore(world.folder / "slow")
    new = [await world.upload(f"{n}".encode(), about=about) for n in range(4)]
    erasure = await world.erasures.request_subject(SLUG, PSEUDONYM, by=None)
    assert await world.erase(rules=replace(RULES, batch=4)).erase_next() is Outcome.FAILED
    left = {one.id for one in new if await world.store.remains(one.receipt.object_key)}
    assert len(left) == 2
    for one in new:
        if one.id in left:
            assert await world.ledger.find(one.id)
        else:
            with pytest.raises(UploadNotFoundError):
                await world.ledger.find(one.id)
    world.clock.move(LEASE_SECONDS + 1)
    done = await world.finish(erasure)
    assert (done.counts.uploads, done.counts.versions) == (4, 4)


@dataclass
class EverySecondStore(FolderStore):
    """A folder that answers every second removal too late."""

    root: Path
    calls: int = 0

    def __post_init__(self) -> None:
        super().__init__(self.root)

    @override
    async def erase(self, key: str) -> int:
        self.calls += 1
        if self.calls % 2:
            raise StoreUnavailableError
        return await super().erase(key)


async def test_a_full_outbox_delays_it(world: ErasureWorld) -> None:
    """An erasure of many uploads does not stop the intake of others."""
    new = [await world.upload(f"{n}".encode(), of=owner()) for n in range(3)]
    erasure = await world.erasures.request_upload(new[0].id, by=None)
    erasing = world.erase(rules=replace(RULES, max_waiting_messages=3))
    assert await erasing.erase_next() is Outcome.DELAYED
    assert await world.store.remains(new[0].receipt.object_key) == 1
    world.clock.move(5)
    assert (await world.finish(erasure)).counts.uploads == 1


SEARCHED = {
    "upload": "every column goes with the row",
    "idempotency_key": "goes with the row of the upload",
    UploadOutcomeRow.__tablename__: "goes with the row of the upload",
    "outbox": "goes before the row of the upload; a message about an erased upload names no person",
    "subject": "pseudonym and consent are replaced",
    "device_token": "those of the subject go with its pseudonym",
    "audit_salt": "the salt of the subject goes, so its hashes name nobody",
    "enrolment_code": "those of the subject go with its pseudonym",
    "resumable_upload": "goes with its parts, before the uploads",
    "upload_part": "goes with its object, and with the resumable upload",
}
PERSONLESS = {
    "erasure": "ids, times and counts",
    "erasure_document": "names of objects",
    "tombstone": "ids and keyed hashes; the object key goes when the erasure is done",
    "audit_event": "ids, and salted hashes whose salt is erased",
    "audit_link": "hashes",
    "study": "of a manager",
    "study_member": "of an account",
    "scheduled_job": "of the service",
}
OF_ACCOUNTS = {
    "account",
    "login_session",
    "refresh_token",
    "mail_token",
    "mail_request",
}


def test_each_table_is_known_to_the_search() -> None:
    """A new table must be searched, or say why it names no subject and no upload."""
    tables = set(Base.metadata.tables)
    assert tables >= OF_ACCOUNTS
    assert tables - OF_ACCOUNTS == set(SEARCHED) | set(PERSONLESS)
    naming = {
        f"{table.name}.{key.parent.name}"
        for table in Base.metadata.sorted_tables
        for key in table.foreign_keys
        if key.column.table.name in {"upload", "subject"}
    }
    assert naming == {
        "idempotency_key.upload_id",
        "outbox.upload_id",
        "upload_outcome.upload_id",
    }
