"""
Every query of the service uses an index.

On PostgreSQL with 100,000 rows a table, no plan reads a whole one; `make test-plans` takes more.
"""

import inspect
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.audit import DatabaseAuditLog
from healthingest_service.adapters.database.device_tokens import DatabaseDeviceTokens
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.enrolment_codes import DatabaseEnrolmentCodes
from healthingest_service.adapters.database.erasing import DatabaseErasureWork
from healthingest_service.adapters.database.erasures import DatabaseErasures
from healthingest_service.adapters.database.idempotency_keys import DatabaseIdempotencyKeys
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import DatabaseLedger
from healthingest_service.adapters.database.mails import DatabaseMailQueue, DatabaseMailTokens
from healthingest_service.adapters.database.memberships import DatabaseGroupRoles
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.outcomes import DatabaseOutcomes
from healthingest_service.adapters.database.replays import DatabaseReplays
from healthingest_service.adapters.database.resumable_uploads import DatabaseResumableUploads
from healthingest_service.adapters.database.scheduled_jobs import DatabaseScheduledJobs
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.database.studies import DatabaseStudies
from healthingest_service.adapters.database.study_uploads import DatabaseStudyUploads
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.audit.chain import extended
from healthingest_service.audit.chaining import WINDOW
from healthingest_service.audit.model import Link
from healthingest_service.audit.ports import EventSelection
from healthingest_service.audit.pruning import prune_event
from healthingest_service.erasure.documents import ErasureDocument
from healthingest_service.erasure.model import (
    ErasureId,
    ErasureKind,
    Forgetting,
    KnownSubject,
    Tombstone,
)
from healthingest_service.identity.device_tokens import KEPT, DeviceToken, DeviceTokenId
from healthingest_service.identity.enrolment_codes import EnrolmentCode, EnrolmentCodeId
from healthingest_service.identity.errors import (
    DeviceTokenNotFoundError,
    LastAdministratorError,
)
from healthingest_service.identity.mail import MailPurpose
from healthingest_service.identity.model import (
    AccountId,
    Binding,
    NewAccount,
    NewPassword,
    RefreshToken,
    Scope,
    Session,
    SessionId,
)
from healthingest_service.studies.group_roles import change_event
from healthingest_service.studies.model import Member, Pseudonym, Role, StudySlug
from healthingest_service.uploads.coverage_gaps import GapSelection
from healthingest_service.uploads.model import DeferralReason, IdempotencyKey, UploadId, UploadState
from healthingest_service.uploads.outcomes import ConsumerOutcome, OutcomeState
from healthingest_service.uploads.relay_ports import ReplaySelection
from healthingest_service.uploads.study_uploads import StudySelection
from support.audit import event as event_of
from support.erasures import KEYS
from support.many_rows import fill, hash_of
from support.resumables import part, resumable
from support.row_security import StudyTransactions
from support.studies import SLUG, SUBJECT, study, subject
from support.uploads import NOON, message, upload

OWNER = UUID(int=7)
LATER = NOON + timedelta(days=30)
ROWS = int(os.environ.get("PLAN_ROWS", "100000"))
FILL_SECONDS = 200 + ROWS / 500


@dataclass
class Calls:
    """Every method of every adapter of the database, as the service calls it."""

    engine: AsyncEngine
    accounts: DatabaseAccounts

    async def ledger(self) -> None:
        """Uploads, from their beginning to their end."""
        ledger = DatabaseLedger(self.engine, timeout_seconds=60)
        new = upload(of=AccountId(OWNER))
        other = upload(b"other", of=AccountId(OWNER))
        for key in (None, "k"):
            for one in (new, other):
                named = IdempotencyKey(f"{key}-{one.id}") if key else None
                begun = await ledger.begin(one, idempotency_key=named, lease_seconds=0)
        await ledger.renew(begun.upload.id, lease_seconds=0)
        await ledger.expired(limit=10, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        await ledger.abandon(other.id)
        about = upload(b"about", of=AccountId(OWNER), about=subject("p5", of="s6"))
        await ledger.begin(about, idempotency_key=None, lease_seconds=0)
        await ledger.complete(about.id, message(about), stored_at=NOON)
        await ledger.find(new.id)
        page = await ledger.history(
            AccountId(OWNER), limit=1, record_type="T", state=UploadState.STORED
        )
        await ledger.history(AccountId(OWNER), limit=1, cursor=page.next_cursor)
        await ledger.check()

    async def idempotency_keys(self) -> None:
        """The removal of old keys."""
        keys = DatabaseIdempotencyKeys(self.engine, timeout_seconds=60)
        assert await keys.forget_expired(before=NOON + timedelta(seconds=10), limit=5) == 5

    async def resumable_uploads(self) -> None:
        """From the first byte to the removal of the parts."""
        uploads = DatabaseResumableUploads(self.engine, 60, 60, lambda: NOON)
        first, second = resumable(of=AccountId(OWNER)), resumable(about=subject("p5", of="s6"))
        for one in (first, second):
            await uploads.create(one, limit=5000)
            await uploads.find(one.id, one.owner)
            taken = await uploads.take(one.id, lease_seconds=60, force=False)
            assert taken is not None
            await uploads.take(one.id, lease_seconds=60, force=True)
            taken = replace(taken, writer=2)
            added = part(taken, 0, 10)
            await uploads.set_size(one.id, 2, 100)
            await uploads.begin_part(one.id, 2, added, lease_seconds=60)
            await uploads.add_part(one.id, 2, added)
            await uploads.stored_parts(one.id)
            await uploads.release(one.id, 2)
        await uploads.finish(first.id, upload().receipt)
        await uploads.refuse(second.id, [])
        await uploads.end(second.id)
        for only in (first.id, None):
            ended = await uploads.take_ended(lease_seconds=60, only=only)
            assert ended is not None
            await uploads.postpone(ended.id, until=None)
            await uploads.forget(ended)
        await uploads.existing([first.id])

    async def outbox(self) -> None:
        """Messages, announced and deferred."""
        outbox = DatabaseOutbox(self.engine, timeout_seconds=60)
        async with outbox.claim(limit=3) as batch:
            await batch.announced(batch.messages[0].id, at=NOON)
            await batch.failed(batch.messages[1].id, retry_at=LATER, reason=DeferralReason.REFUSED)
        await outbox.backlog()
        await outbox.deferred_counts()
        await outbox.deferred(limit=20)

    async def replays(self) -> None:
        """By id, by time and by type."""
        replays = DatabaseReplays(self.engine, timeout_seconds=60)
        some = await replays.page(
            ReplaySelection(received_from=NOON, received_before=LATER, record_type="T"),
            after=None,
            limit=5,
        )
        await replays.page(ReplaySelection(ids=frozenset({some[0].id})), after=some[0].id, limit=5)
        await replays.put([message(one) for one in some])

    async def kept_uploads(self) -> None:
        """By object key and by id."""
        kept = DatabaseKeptUploads(self.engine, timeout_seconds=60, key_hash=KEYS.key_hash)
        (first, *_) = await kept.between("raw/", "raw0", limit=5)
        await kept.with_rows({first.key})
        await kept.being_stored({first.key})
        await kept.named([first.upload_id])
        await kept.erased_keys({upload().receipt.object_key})
        new = replace(upload(b"rebuilt"), state=UploadState.STORED, stored_at=NOON)
        await kept.add([(new, message(new))])
        await kept.mark_lost(first.upload_id, at=NOON)
        await kept.mark_found(first.upload_id)
        await kept.mark_lost(first.upload_id, at=NOON)
        await kept.forget(first.upload_id)
        await kept.forget(UploadId(UUID(int=1)))

    async def jobs(self) -> None:
        """One duty."""
        jobs = DatabaseScheduledJobs(self.engine, timeout_seconds=60)
        for slot in (1, 2):
            await jobs.take("consistency", slot, lease_seconds=0)
        await jobs.note("consistency", 2, "x", lease_seconds=0)
        await jobs.finish("consistency", 2)
        await jobs.finished_at("consistency")

    async def directory(self) -> None:
        """Accounts."""
        added = await self.accounts.add(NewAccount("ada@clinic.example", "correct horse battery"))
        await self.accounts.authenticate("ada@clinic.example", "wrong horse battery")
        await self.accounts.get(added.id)
        await self.accounts.by_email("ada@clinic.example")
        await self.accounts.rename(added.id, {"first_name": "Ada"})
        new = NewPassword(account_id=added.id, password="another horse", password_version=0)
        await self.accounts.set_password(new, at=NOON)
        await self.accounts.admit_external(AccountId(UUID(int=11)))
        administrator = await self.accounts.add(NewAccount("root@clinic.example", "x" * 8))
        async with self.engine.begin() as connection:
            await connection.execute(
                text("UPDATE account SET is_superuser = true WHERE id = :id"),
                {"id": administrator.id},
            )
        with pytest.raises(LastAdministratorError):
            await self.accounts.close(administrator.id, password_version=0, at=NOON)
        closing = await self.accounts.add(NewAccount("eva@clinic.example", "x" * 8))
        await self.accounts.close(closing.id, password_version=0, at=NOON)
        await self.accounts.set_admin("ada@clinic.example", is_admin=True)
        await self.accounts.deactivate("ada@clinic.example")

    async def mail_queue(self) -> None:
        """Requests for mails."""
        queue = DatabaseMailQueue(self.engine, timeout_seconds=60, max_waiting=ROWS + 1)
        await queue.put(MailPurpose.VERIFY_EMAIL, "grace@clinic.example", at=NOON)
        taken = await queue.take(at=NOON)
        assert taken is not None
        await queue.remove(taken)

    async def mail_tokens(self) -> None:
        """Tokens of mails."""
        tokens = DatabaseMailTokens(self.engine, timeout_seconds=60)
        account = await self.accounts.by_email("1@clinic.example")
        assert account is not None
        await tokens.add("mail", account.id, MailPurpose.VERIFY_EMAIL, expires_at=LATER)
        await tokens.find("mail", MailPurpose.VERIFY_EMAIL, at=NOON)
        await tokens.verify_email("mail", at=NOON)
        await tokens.forget_expired(before=LATER + timedelta(seconds=10), limit=100)

    async def sessions(self) -> None:
        """Logins and refresh tokens."""
        sessions = DatabaseSessions(self.engine, timeout_seconds=60)
        account = await self.accounts.add(
            NewAccount("grace@clinic.example", "correct horse battery")
        )
        session = Session(SessionId(UUID(int=3)), account.id, NOON)
        await sessions.begin(session, RefreshToken("first", LATER), password_version=0)
        await sessions.find("first")
        await sessions.rotate(
            "first",
            child_salt=b"s",
            child=RefreshToken("second", LATER),
            at=NOON,
            longest=timedelta(days=90),
        )
        await sessions.is_live(session.id, account.id)
        await sessions.live_sessions(account.id, at=NOON, limit=100)
        await sessions.revoke_others(account.id, keep=SessionId(UUID(int=4)), at=NOON)
        await sessions.revoke_one(session.id, account.id, at=NOON)
        await sessions.revoke(session.id, at=NOON)
        await sessions.forget_expired(before=LATER + timedelta(seconds=10), limit=100)

    async def device_tokens(self) -> None:
        """From its creation to its end."""
        tokens = DatabaseDeviceTokens(self.engine, timeout_seconds=60)
        account = await self.accounts.add(
            NewAccount("joan@clinic.example", "correct horse battery")
        )
        token = DeviceToken(
            id=DeviceTokenId(UUID(int=5)),
            account_id=account.id,
            name="watch",
            scopes=frozenset({Scope.UPLOAD_WRITE}),
            created_at=NOON,
        )
        await tokens.add(token, "h", event_of(2))
        await tokens.find("h")
        await tokens.note_use(token.id, NOON)
        await tokens.list_of(account.id, at=NOON)
        await tokens.revoke(account.id, token.id, at=NOON)
        await tokens.revoke(account.id, token.id, at=NOON)
        await tokens.list_in_study(SLUG, None, at=NOON, limit=20, cursor=None)
        await tokens.list_in_study(SLUG, SUBJECT, at=NOON, limit=20, cursor=token.id)
        with pytest.raises(DeviceTokenNotFoundError):
            await tokens.revoke_in_study(SLUG, token.id, at=NOON)
        await tokens.forget_expired(before=LATER + KEPT + timedelta(seconds=10), limit=100)

    async def enrolment_codes(self) -> None:
        """From its creation to its end."""
        studies = DatabaseStudies(self.engine, timeout_seconds=60)
        await studies.create(replace(study(), slug=StudySlug("enrolling")))
        codes = DatabaseEnrolmentCodes(self.engine, timeout_seconds=60)
        code = EnrolmentCode(
            id=EnrolmentCodeId(UUID(int=6)),
            binding=Binding("enrolling", SUBJECT),
            scopes=frozenset({Scope.UPLOAD_WRITE}),
            token_lifetime=None,
            created_at=NOON,
            expires_at=LATER,
        )
        await codes.count_open("enrolling", at=NOON)
        await codes.add(code, "h", replace(event_of(3), study="enrolling"))

        def token_for(found: EnrolmentCode) -> DeviceToken:
            return DeviceToken(
                id=DeviceTokenId(UUID(int=8)),
                account_id=AccountId(UUID(int=9)),
                name="watch",
                scopes=found.scopes,
                created_at=NOON,
                binding=found.binding,
            )

        for _ in range(2):
            await codes.redeem("h", token_for, "t", at=NOON)
        await codes.forget_expired(before=LATER + timedelta(days=1, seconds=10), limit=100)
        await codes.remove("enrolling", code.id)

    async def studies(self) -> None:
        """Studies, members and subjects."""
        studies = DatabaseStudies(self.engine, timeout_seconds=60)
        account = await self.accounts.add(
            NewAccount("mary@clinic.example", "correct horse battery")
        )
        await studies.create(study())
        await studies.change(SLUG, lambda before: replace(before, name="New"))
        await studies.put_member(SLUG, Member(account.id, frozenset(Role)))
        await studies.access(account.id, SLUG)
        await studies.is_admin(account.id)
        await studies.intake(account.id, SLUG, SUBJECT)
        await studies.page(account.id, limit=5, cursor="a")
        await studies.members(StudySlug("s1"), limit=5, cursor=str(account.id))
        new = subject()
        await studies.change_subject(SLUG, SUBJECT, lambda _: new)
        await studies.change_subject(SLUG, SUBJECT, lambda _: replace(new, changed_at=LATER))
        await studies.subject(SLUG, SUBJECT)
        await studies.subjects(StudySlug("s1"), limit=5, cursor="p5")
        await studies.remove_member(SLUG, account.id)
        groups = DatabaseGroupRoles(self.engine, timeout_seconds=60)
        for wanted in ({SLUG: frozenset(Role)}, {}):
            await groups.put_group_roles(
                account.id, wanted, as_of=NOON, event=lambda change: change_event(change, NOON)
            )
        await groups.has_group_roles(account.id)

    async def outcomes(self) -> None:
        """Of one upload, and of a page."""
        found = DatabaseOutcomes(self.engine, timeout_seconds=60)
        ledger = DatabaseLedger(self.engine, timeout_seconds=60)
        new = upload(b"with an outcome", of=AccountId(OWNER))
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        failed = ConsumerOutcome(
            consumer="c", state=OutcomeState.FAILED, reason="r", reported_at=NOON
        )
        for one in (failed, replace(failed, state=OutcomeState.PROCESSED)):
            await found.report(new.id, one)
        await found.of([new.id])
        await found.of([new.id], study=StudySlug("s3"))

    async def study_uploads(self) -> None:
        """Lists and counts."""
        found = DatabaseStudyUploads(self.engine, timeout_seconds=60)
        for about in (None, Pseudonym("p10")):
            selection = StudySelection(
                study=StudySlug("s3"),
                subject=about,
                record_type="T",
                first_day=NOON.date(),
                last_day=NOON.date(),
            )
            page = await found.page(selection, limit=1)
            await found.page(selection, limit=1, cursor=page.next_cursor)
            counts = await found.coverage(selection, limit=1)
            await found.coverage(selection, limit=1, after=counts.next_after)
            gaps = GapSelection(
                study=StudySlug("s3"),
                first_day=NOON.date(),
                last_day=NOON.date() + timedelta(days=9),
                subject=about,
                record_type="T",
            )
            missing = await found.gaps(gaps, limit=1)
            await found.gaps(gaps, limit=1, after=missing.next_after)
            await found.gaps(replace(gaps, record_type=None), limit=1)
            await found.announcements(StudySlug("s3"), Pseudonym("p10"), limit=1)
            newest = (NOON, UploadId(UUID(int=1)))
            await found.announcements(StudySlug("s3"), Pseudonym("p10"), limit=1, before=newest)

    async def audit_log(self) -> None:
        """Recorded, chained, read, verified and removed."""
        log = DatabaseAuditLog(self.engine, timeout_seconds=60)
        await log.record(event_of(1))
        await log.salt("subject/1")
        await log.salt("subject/1")
        await log.forget_emails(before=NOON.date())
        head = await log.head()
        assert head is not None
        waiting = await log.unchained(after=head.number - WINDOW // 100, limit=9)
        await log.append(tuple(extended(head, waiting)))
        for selection in (
            EventSelection(study="s4"),
            EventSelection(study="s4", subject_hash=hash_of("h", 4), downloads_only=True),
        ):
            await log.newest(selection, limit=5)
            await log.newest(selection, limit=5, before=(NOON, 7))
        await log.page(after=7, limit=5)
        await log.forms(after=7, limit=5)
        await log.has_prune_event(head)
        await log.prune(Link(2, 2, "h"), prune_event(Link(2, 2, "h"), NOON))

    async def erasures(self) -> None:
        """Requests of each kind, in a study of many."""
        found = DatabaseErasures(self.engine, KEYS.hidden, 60.0, lambda: NOON)
        ledger = DatabaseLedger(self.engine, timeout_seconds=60)
        new = upload(b"erased", of=AccountId(OWNER))
        await ledger.begin(new, idempotency_key=None, lease_seconds=0)
        erasure = await found.request_upload(new.id, by=None)
        await found.request_upload(new.id, by=None)
        await found.request_subject(StudySlug("s3"), Pseudonym("p2"), by=None)
        await found.request_account(AccountId(OWNER), by=None)
        await found.request_study(StudySlug("s9"), by=None)
        await found.find(erasure.id)
        await found.oldest_open(limit=5)
        await found.of_upload(new.id)
        async with self.engine.begin() as connection:
            await connection.execute(
                text("UPDATE study SET retention_days = 1 WHERE slug IN ('s7', 's8')")
            )
        assert await found.request_due(LATER, slot=timedelta(days=1)) == 2
        assert await found.below(2, limit=5) == ["s7", "s8"]

    async def erasure_work(self) -> None:
        """The steps of an erasure of each kind."""
        work = DatabaseErasureWork(self.engine, KEYS.hidden, 60.0, lambda: NOON)
        erasures = DatabaseErasures(self.engine, KEYS.hidden, 60.0, lambda: NOON)
        subject_of = (StudySlug("s5"), Pseudonym("p4"))
        for one in (
            await erasures.request_subject(*subject_of, by=None),
            await erasures.request_account(AccountId(UUID(int=8)), by=None),
            await erasures.request_study(StudySlug("s11"), by=None),
        ):
            await work.end_resumable(one, limit=5)
            batch = await work.batch(one, limit=5)
            await work.keys(one, after="raw/", limit=5)
            await work.leftovers(one)
            await work.close_subjects(one, await work.subjects(one))
        for kind in (ErasureKind.UPLOAD, ErasureKind.RETENTION):
            scope = replace(one.scope, kind=kind, target=UUID(int=12), received_before=NOON)
            await work.end_resumable(replace(one, scope=scope), limit=5)
        new = upload(b"new", of=AccountId(OWNER))
        tombstone = Tombstone(new.id, new.study, b"u", b"k")
        await work.record(one, "erasures/x", [tombstone], [new.receipt.object_key])
        forgetting = [Forgetting(upload.id, message(upload)) for upload in batch.uploads[:1]]
        gone = replace(forgetting[0].message, upload_id=None)
        await work.forget(one, [replace(forgetting[0], message=gone)], versions=1)
        await work.renew(one.id, lease_seconds=1)
        await work.block(one.id, until=NOON)
        await work.release(one.id, until=NOON)
        assert await work.unlogged(limit=5)
        assert await work.take(lease_seconds=1) is not None
        await work.find(one.id)
        await work.waiting_messages(limit=100)
        await work.totals()
        await work.unknown({"erasures/1", "erasures/y"})
        again = replace(one, id=ErasureId(UUID(int=5)), scope=replace(one.scope, study=SLUG))
        known = KnownSubject(UUID(int=6), KEYS.hidden(SLUG, SUBJECT))
        await work.apply("erasures/y", ErasureDocument(again, [tombstone], [known]))
        await work.finish(replace(one, done_at=NOON, certificate="c"))


PORTS: dict[type, Callable[[Calls], Awaitable[None]]] = {
    DatabaseLedger: Calls.ledger,
    DatabaseIdempotencyKeys: Calls.idempotency_keys,
    DatabaseOutbox: Calls.outbox,
    DatabaseReplays: Calls.replays,
    DatabaseKeptUploads: Calls.kept_uploads,
    DatabaseScheduledJobs: Calls.jobs,
    DatabaseAccounts: Calls.directory,
    DatabaseSessions: Calls.sessions,
    DatabaseDeviceTokens: Calls.device_tokens,
    DatabaseEnrolmentCodes: Calls.enrolment_codes,
    DatabaseMailQueue: Calls.mail_queue,
    DatabaseMailTokens: Calls.mail_tokens,
    DatabaseStudies: Calls.studies,
    DatabaseStudyUploads: Calls.study_uploads,
    DatabaseAuditLog: Calls.audit_log,
    DatabaseErasures: Calls.erasures,
    DatabaseErasureWork: Calls.erasure_work,
}


@pytest.fixture(name="calls")
async def _calls(postgres_url: str) -> AsyncIterator[Calls]:
    await migrate(postgres_url, timeout_seconds=60)
    async with (
        open_engine(postgres_url, pool_size=2, timeout_seconds=FILL_SECONDS) as engine,
        open_password_pool(threads=1, queue_limit=2) as passwords,
    ):
        await fill(engine, ROWS)
        yield Calls(engine, DatabaseAccounts(engine, passwords, timeout_seconds=60))


def whole_tables(plan: dict[str, Any]) -> list[str]:
    """The tables that a plan reads from their beginning to their end."""
    own = (
        [plan["Relation Name"]]
        if plan["Node Type"] == "Seq Scan" and plan["Relation Name"] != "scheduled_job"
        else []
    )
    return own + [table for inner in plan.get("Plans", ()) for table in whole_tables(inner)]


async def test_no_query_reads_a_whole_table(calls: Calls) -> None:
    """
    Each statement of each method, as it was sent, and with the row-level security that it had.

    The table of jobs has a handful of rows.
    """
    transactions = StudyTransactions()
    transactions.listen(calls.engine)
    for call in PORTS.values():
        await call(calls)
    once = {(one.study is None, one.statement): one for one in reversed(transactions.take())}
    seen = [
        one
        for one in once.values()
        if one.statement.split(None, 1)[0] in {"SELECT", "UPDATE", "INSERT", "DELETE", "WITH"}
        and "pg_" not in one.statement
    ]
    reading = {}
    for study_of, statement, parameters in seen:
        opening = transaction(calls.engine, timeout_seconds=60, study=study_of)
        async with opening as connection:
            explained = await connection.exec_driver_sql(
                f"EXPLAIN (FORMAT JSON) {statement}", parameters
            )
            found = explained.scalar_one()
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            if tables := whole_tables(plan):
                reading[statement] = tables
    assert len(seen) > 40
    assert len([one for one in seen if one.study is not None]) > 20
    assert reading == {}


@pytest.mark.parametrize("port", PORTS, ids=lambda port: port.__name__)
def test_every_method_is_called_above(port: type) -> None:
    """A new query of the service is a new line there."""
    source = inspect.getsource(PORTS[port])
    methods = [
        name for name, _ in inspect.getmembers(port, inspect.isfunction) if not name.startswith("_")
    ]
    assert [name for name in methods if f".{name}(" not in source] == []
