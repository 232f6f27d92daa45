"""The ports of the audit log: in memory, on both databases, in a folder and on S3."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database.audit import DatabaseAuditLog
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.folder_anchors import FolderAnchors
from healthingest_service.adapters.s3.anchors import open_s3_anchors
from healthingest_service.adapters.s3.client import open_client
from healthingest_service.audit.anchors import anchor_key
from healthingest_service.audit.chain import canonical, extended
from healthingest_service.audit.chaining import ChainEvents
from healthingest_service.audit.errors import AuditUnavailableError, ChainMovedError
from healthingest_service.audit.model import Action, Anchor, Link, Outcome
from healthingest_service.audit.ports import Anchors, EventSelection
from healthingest_service.audit.pruning import prune_event
from healthingest_service.audit.verification import VerifyChain
from support.audit import MemoryAnchors, MemoryAudit, event
from support.deadlines import HANG_SECONDS
from support.migrated import migrate_by_copy
from support.s3 import access_to
from support.servers.postgres import PostgresServer
from support.servers.versitygw import S3Server
from support.uploads import NOON, Clock

Audit = MemoryAudit | DatabaseAuditLog
_MANY_EVENTS = (
    "INSERT INTO audit_event (occurred_at, actor, action, outcome)"
    " SELECT now(), 'account', 'upload', 'done' FROM generate_series(1, :rows)"
)
_MANY_LINKS = (
    "INSERT INTO audit_link (position, number, hash)"
    " SELECT number, number, md5('') || md5('') FROM audit_event WHERE number <= :rows"
)
_LINKS_READ = (
    "SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'audit_link')"
    " + (SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = 'uq_audit_link_number')"
)


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def audit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Audit]:
    """An empty audit log of each kind; the one in memory is the fake of other tests."""
    if request.param == "memory":
        yield MemoryAudit()
        return
    url = f"sqlite+aiosqlite:///{tmp_path}/health.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_url")
    await migrate_by_copy(url)
    async with open_engine(url, pool_size=8, timeout_seconds=HANG_SECONDS) as engine:
        yield DatabaseAuditLog(engine, timeout_seconds=HANG_SECONDS)


@pytest.fixture(params=["memory", "folder", "s3"])
async def anchors(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Anchors]:
    """An empty store of anchors of each kind."""
    if request.param == "memory":
        yield MemoryAnchors()
    elif request.param == "folder":
        yield FolderAnchors(tmp_path / "objects")
    else:
        async with open_s3_anchors(access_to(request.getfixturevalue("s3_server"))) as opened:
            yield opened


async def _links_read(connection: AsyncConnection) -> int:
    """Return how many links were read since the database was made."""
    await connection.execute(text("SELECT pg_stat_force_next_flush()"))
    read: int = (await connection.execute(text(_LINKS_READ))).scalar_one()
    return read


def chainer(audit: Audit, anchors: Anchors) -> ChainEvents:
    """Return the use case that chains, which anchors at once."""
    return ChainEvents(audit, anchors, clock=Clock(), interval_seconds=0.01, anchor_seconds=0)


class TestAudit:
    async def test_keeps_events_in_order(self, audit: Audit) -> None:
        """Every field comes back as it was, whether it has a value or not."""
        full = replace(
            event(1),
            token_id="t" * 64,
            study="study",
            subject_hash="1" * 64,
            email_hash="2" * 64,
        )
        await audit.record(full)
        await audit.record(event(2))
        found = await audit.unchained(after=0, limit=10)
        assert [one.event for one in found] == [full, event(2)]
        assert found[0].number < found[1].number
        assert await audit.unchained(after=found[0].number, limit=10) == found[1:]
        assert await audit.unchained(after=0, limit=1) == found[:1]

    async def test_chains_events_once(self, audit: Audit) -> None:
        """A chained event is not found again, and is in the page of its position."""
        for number in (1, 2, 3):
            await audit.record(event(number))
        found = await audit.unchained(after=0, limit=2)
        assert await audit.head() is None
        links = tuple(extended(None, found))
        await audit.append(links)
        assert await audit.head() == links[-1]
        assert await audit.page(after=0, limit=10) == list(zip(links, found, strict=True))
        assert await audit.page(after=1, limit=1) == [(links[1], found[1])]
        assert [one.event for one in await audit.unchained(after=0, limit=9)] == [event(3)]

    async def test_finds_them_with_a_plan_for_the_tables_of_now(self, postgres_url: str) -> None:
        """PostgreSQL keeps plans of small tables, and such a one reads all links for each event."""
        rows = 2000
        await migrate_by_copy(postgres_url)
        async with open_engine(postgres_url, pool_size=1, timeout_seconds=HANG_SECONDS) as engine:
            audit = DatabaseAuditLog(engine, timeout_seconds=HANG_SECONDS)
            alone = engine.execution_options(isolation_level="AUTOCOMMIT")
            async with alone.connect() as connection:
                await connection.execute(text("VACUUM ANALYZE"))
            for _ in range(10):
                assert not await audit.unchained(after=0, limit=9)
            async with alone.connect() as connection:
                for statement in (_MANY_EVENTS, _MANY_LINKS):
                    await connection.execute(text(statement), {"rows": rows})
                before = await _links_read(connection)
            assert not await audit.unchained(after=0, limit=9)
            async with alone.connect() as connection:
                assert rows <= await _links_read(connection) - before <= 2 * rows

    async def test_a_position_and_an_event_are_taken_once(self, audit: Audit) -> None:
        """Of two processes that extend the chain, one writes nothing."""
        for number in (1, 2):
            await audit.record(event(number))
        first, second = await audit.unchained(after=0, limit=2)
        (link,) = extended(None, [first])
        await audit.append([link])
        for taken in (Link(1, second.number, "0" * 64), Link(2, first.number, "0" * 64)):
            with pytest.raises(ChainMovedError):
                await audit.append([Link(9, 99, "0" * 64), taken])
        assert await audit.head() == link

    async def test_lists_the_events_of_a_study(self, audit: Audit) -> None:
        """Newest first, by subject, downloads only, and from a place on; no other study's."""
        of_study = replace(event(1), study="sleep", subject_hash="1" * 64)
        download = replace(of_study, action=Action.DOWNLOAD)
        later = NOON + timedelta(seconds=1)
        for one in (
            replace(of_study, occurred_at=later),
            of_study,
            download,
            replace(download, outcome=Outcome.REFUSED),
            replace(of_study, subject_hash="2" * 64),
            replace(of_study, study="other"),
            event(2),
        ):
            await audit.record(one)
        stored = await audit.unchained(after=0, limit=10)
        numbers = [one.number for one in stored]

        async def found(limit: int = 10, before: int | None = None, **names: Any) -> list[int]:  # noqa: ANN401
            selection = EventSelection(study="sleep", **names)
            place = None if before is None else (stored[before].event.occurred_at, numbers[before])
            listed = await audit.newest(selection, limit=limit, before=place)
            assert [one for one in stored if one in listed] != [] or listed == []
            return [numbers.index(one.number) for one in listed]

        assert await found() == [0, 4, 3, 2, 1]
        assert await found(limit=2) == [0, 4]
        assert await found(before=4) == [3, 2, 1]
        assert await found(subject_hash="1" * 64) == [0, 3, 2, 1]
        assert await found(subject_hash="1" * 64, downloads_only=True) == [2]
        assert await found(subject_hash="3" * 64) == []

    async def test_shows_that_an_event_is_missing(self, audit: Audit) -> None:
        """The link stays."""
        link = Link(1, 7, "0" * 64)
        await audit.append([link])
        assert await audit.page(after=0, limit=1) == [(link, None)]

    async def test_removes_old_events(self, audit: Audit) -> None:
        """Up to a link, which stays as the start of the chain; a second process changes nothing."""
        old = datetime.now(UTC) - timedelta(days=40)
        for number in (1, 2, 3):
            await audit.record(event(number, at=old))
        anchors = MemoryAnchors()
        await chainer(audit, anchors).chain_all()
        rows = await audit.page(after=0, limit=9)
        upto = rows[1][0]
        assert not await audit.has_prune_event(upto)
        removal = prune_event(upto, NOON)
        await audit.prune(upto, removal)
        assert await audit.page(after=0, limit=9) == [(upto, None), rows[2]]
        assert await audit.has_prune_event(upto)
        assert not await audit.has_prune_event(rows[2][0])
        with pytest.raises(ChainMovedError):
            await audit.prune(upto, removal)
        (waiting,) = await audit.unchained(after=0, limit=9)
        assert waiting.event == removal
        found = await VerifyChain(audit, anchors, clock=Clock())()
        assert (found.is_intact, found.events, found.pruned_events) == (True, 1, 2)

    async def test_returns_the_forms_of_a_page(self, audit: Audit) -> None:
        """The canonical forms of the same events, and None for a missing one."""
        full = replace(event(1), token_id="t", study="s", subject_hash="1", reason="\u00e9\n")
        for one in (full, event(2)):
            await audit.record(one)
        await chainer(audit, MemoryAnchors()).chain_all()
        await audit.append([Link(3, 99, "0" * 64)])
        rows = await audit.page(after=0, limit=9)
        assert await audit.forms(after=0, limit=9) == [
            (link.position, link.number, link.hash, stored and canonical(stored))
            for link, stored in rows
        ]
        assert len(await audit.forms(after=1, limit=1)) == 1

    async def test_processes_that_record_and_chain_at_once_lose_nothing(self, audit: Audit) -> None:
        """Four that record and two that chain: every event is in the intact chain, once."""
        anchors = MemoryAnchors()
        stop = asyncio.Event()

        async def record(first: int) -> None:
            for number in range(first, first + 5):
                await audit.record(event(number))

        async with asyncio.TaskGroup() as tasks:
            for _ in range(2):
                tasks.create_task(chainer(audit, anchors).run(stop))
            await asyncio.gather(*(record(1 + 5 * n) for n in range(4)))
            stop.set()
        await chainer(audit, anchors).chain_all()
        verified = await VerifyChain(audit, anchors, clock=Clock())()
        assert (verified.is_intact, verified.events, verified.waiting_events) == (True, 20, 0)
        ids = {
            stored.event.account_id for _, stored in await audit.page(after=0, limit=200) if stored
        }
        assert len(ids) == 20


class TestAnchors:
    async def test_keeps_anchors(self, anchors: Anchors) -> None:
        """Position and hash come back; writing twice is the same as once."""
        wanted = {Anchor(position, f"{position:064x}", NOON) for position in (1, 2, 10**12)}
        for anchor in (*wanted, *wanted):
            await anchors.write(anchor)
        found = [anchor async for anchor in anchors.all()]
        assert sorted((one.position, one.hash) for one in found) == sorted(
            (one.position, one.hash) for one in wanted
        )

    async def test_lists_those_of_earlier_days(self, anchors: Anchors) -> None:
        """By day, the oldest first; those of the day itself are left out."""
        for position, age in ((3, 0), (2, 1), (1, 40)):
            await anchors.write(Anchor(position, f"{position:064x}", NOON - timedelta(days=age)))
        found = [anchor async for anchor in anchors.of_days_before(NOON.date())]
        assert [one.position for one in found] == [1, 2]

    async def test_removes_one(self, anchors: Anchors) -> None:
        """It is gone, and the others stay; removing it again is no error."""
        for position in (1, 2):
            await anchors.write(Anchor(position, f"{position:064x}", NOON))
        (first, _) = [anchor async for anchor in anchors.all()]
        for _ in range(2):
            assert await anchors.remove(first)
        assert [one.position async for one in anchors.all()] == [3 - first.position]

    async def test_are_none_at_first(self, anchors: Anchors) -> None:
        """An empty store."""
        assert [anchor async for anchor in anchors.all()] == []


async def test_an_anchor_goes_with_its_versions_unless_it_is_locked(s3_gateway: S3Server) -> None:
    """In a bucket with object lock; a locked one is reported, and stays readable."""
    bucket = f"anchors-{uuid4().hex}"
    locked, other = Anchor(1, "1" * 64, NOON), Anchor(2, "2" * 64, NOON)
    access = replace(access_to(s3_gateway), bucket=bucket)
    async with open_client(access) as client, open_s3_anchors(access) as anchors:
        await client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=True)
        await client.put_object(
            Bucket=bucket,
            Key=anchor_key(locked),
            Body=b"{}",
            ObjectLockMode="GOVERNANCE",
            ObjectLockRetainUntilDate=datetime.now(UTC) + timedelta(days=1),
        )
        for _ in range(2):
            await anchors.write(other)
        assert [await anchors.remove(one) for one in (locked, other)] == [False, True]
        assert [one.position async for one in anchors.all()] == [1]
        versions = await client.list_object_versions(Bucket=bucket)
        assert [one["Key"] for one in versions["Versions"]] == [anchor_key(locked)]
        assert "DeleteMarkers" not in versions


class TestDatabase:
    @pytest.mark.parametrize("table", ["audit_event", "audit_link"])
    @pytest.mark.parametrize(
        "change", ["UPDATE {} SET number = 8", "DELETE FROM {}", "TRUNCATE {}"]
    )
    async def test_is_append_only(self, engine: AsyncEngine, table: str, change: str) -> None:
        """
        Neither changes nor deletions, not even by the role that owns the tables.

        Only events older than 30 days can be removed, and their links.
        """
        if "TRUNCATE" in change and engine.dialect.name == "sqlite":
            change = "DELETE FROM {} WHERE number > 0"
        log = DatabaseAuditLog(engine, timeout_seconds=5)
        await log.record(event(at=datetime.now(UTC) - timedelta(days=29)))
        await log.append([Link(1, 1, "0" * 64)])
        with pytest.raises(DBAPIError):
            async with engine.begin() as connection:
                await connection.execute(text(change.format(table)))
        assert len(await log.page(after=0, limit=9)) == 1

    async def test_the_owner_has_no_privilege_to_change_it(self, postgres: PostgresServer) -> None:
        """The role of an installation owns the tables, and is no superuser."""
        with postgres.role("a-password") as (name, url):
            postgres.execute(f"ALTER DATABASE {name} OWNER TO {name}")
            await migrate(url, timeout_seconds=20)
            async with open_engine(url, pool_size=2, timeout_seconds=5) as engine:
                log = DatabaseAuditLog(engine, timeout_seconds=5)
                await log.record(event())
                await chainer(log, MemoryAnchors()).chain_all()
                async with engine.begin() as connection:
                    for privilege, allowed in (
                        ("INSERT", True),
                        ("SELECT", True),
                        ("UPDATE", False),
                        ("DELETE", True),  # the trigger refuses young events
                        ("TRUNCATE", False),
                    ):
                        for table in ("audit_event", "audit_link"):
                            asked = text("SELECT has_table_privilege(:table, :privilege)")
                            found = await connection.scalar(
                                asked, {"table": table, "privilege": privilege}
                            )
                            assert found is allowed, (table, privilege)

    async def test_a_salt_is_made_once(self, engine: AsyncEngine) -> None:
        """All processes get the same, and another name another one."""
        log = DatabaseAuditLog(engine, timeout_seconds=5)
        salts = await asyncio.gather(*(log.salt("email/2026-03-01") for _ in range(4)))
        assert len(set(salts)) == 1
        assert await log.salt("email/2026-03-02") != salts[0]

    async def test_salts_of_addresses_are_forgotten(self, engine: AsyncEngine) -> None:
        """Those of earlier days; a new one differs."""
        log = DatabaseAuditLog(engine, timeout_seconds=5)
        names = ("email/2026-02-28", "email/2026-03-01", "subject/1")
        before = [await log.salt(name) for name in names]
        assert await log.forget_emails(before=NOON.date()) == 1
        after = [await log.salt(name) for name in names]
        assert [one == other for one, other in zip(before, after, strict=True)] == [
            False,
            True,
            True,
        ]

    async def test_says_that_it_cannot_be_reached(self) -> None:
        """Nobody listens there."""
        async with open_engine(
            "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=2
        ) as engine:
            with pytest.raises(AuditUnavailableError):
                await DatabaseAuditLog(engine, timeout_seconds=2).record(event())

    async def test_a_changed_row_is_found(self, engine: AsyncEngine) -> None:
        """Somebody who may disable the triggers changes one column of one row."""
        log = DatabaseAuditLog(engine, timeout_seconds=5)
        for number in (1, 2, 3):
            await log.record(event(number))
        await chainer(log, MemoryAnchors()).chain_all()
        is_sqlite = engine.dialect.name == "sqlite"
        disabling = (
            "DROP TRIGGER audit_event_no_update"
            if is_sqlite
            else "ALTER TABLE audit_event DISABLE TRIGGER append_only"
        )
        async with engine.begin() as connection:
            await connection.execute(text(disabling))
            await connection.execute(
                text("UPDATE audit_event SET outcome = 'refused' WHERE number = 2")
            )
        verified = await VerifyChain(log, MemoryAnchors(), clock=Clock())()
        assert [fault.position for fault in verified.faults] == [2]
