"""The port `Ledger`, on SQLite and on PostgreSQL."""

import asyncio
from datetime import timedelta
from itertools import count

import pytest
from sqlalchemy import event, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_contract.database_address import read_database_address
from healthingest_service.adapters.database.audit import DatabaseAuditLog
from healthingest_service.adapters.database.engine import open_engine, transaction
from healthingest_service.adapters.database.kept_uploads import DatabaseKeptUploads
from healthingest_service.adapters.database.ledger import BegunUpload, DatabaseLedger
from healthingest_service.adapters.database.migrate import migrate
from healthingest_service.adapters.database.outbox import DatabaseOutbox
from healthingest_service.adapters.database.tables import IdempotencyKeyRow, OutboxRow, UploadRow
from healthingest_service.uploads.audit_events import uploaded
from healthingest_service.uploads.errors import (
    IdempotencyKeyReusedError,
    InvalidCursorError,
    LedgerUnavailableError,
    StoreUnavailableError,
    UploadInFlightError,
    UploadNotFoundError,
)
from healthingest_service.uploads.model import IdempotencyKey, Upload, UploadState
from support.cancelling import is_cancelled_at
from support.deadlines import HANG_SECONDS
from support.uploads import NOON, Clock, message, owner, upload

KEY = IdempotencyKey("key-1")
LEASE_SECONDS = 60.0


@pytest.fixture
def clock() -> Clock:
    """Noon."""
    return Clock()


@pytest.fixture
def ledger(engine: AsyncEngine, clock: Clock) -> DatabaseLedger:
    """A ledger on an empty database."""
    return DatabaseLedger(engine, timeout_seconds=5, clock=clock)


async def begin(
    ledger: DatabaseLedger, new: Upload, key: IdempotencyKey | None = None
) -> BegunUpload:
    """Transaction A."""
    return await ledger.begin(new, idempotency_key=key, lease_seconds=LEASE_SECONDS)


async def store(ledger: DatabaseLedger, new: Upload, key: IdempotencyKey | None = None) -> Upload:
    """Both transactions."""
    begun = (await begin(ledger, new, key)).upload
    await ledger.complete(begun.id, message(begun), stored_at=NOON)
    return begun


async def rows(engine: AsyncEngine, table: type[UploadRow | IdempotencyKeyRow | OutboxRow]) -> int:
    """How many rows the table has."""
    async with transaction(engine, timeout_seconds=5, writes=False) as connection:
        return await connection.scalar(select(func.count()).select_from(table)) or 0


class TestLedger:
    async def test_begins_a_new_upload(self, ledger: DatabaseLedger) -> None:
        """A new upload is written as it was given, and is not a replay."""
        new = upload()
        assert await begin(ledger, new) == BegunUpload(new, replayed=False)
        assert await ledger.find(new.id) == new

    async def test_tells_that_equal_bytes_are_in_flight(self, ledger: DatabaseLedger) -> None:
        """While the lease lasts, the owner's same bytes are refused with a time to retry."""
        first = upload(of=(account := owner()))
        second = upload(of=account)
        await begin(ledger, first)
        with pytest.raises(UploadInFlightError) as refused:
            await begin(ledger, second)
        assert 1 <= refused.value.retry_after_seconds <= LEASE_SECONDS

    async def test_asks_for_longer_waits_the_longer_a_lease_is_held(
        self, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """A client that repeats as asked sends the file ten times until a dead process is over."""
        first = upload(of=(account := owner()))
        await ledger.begin(first, idempotency_key=None, lease_seconds=120)
        waits = []
        while clock.now < first.received_at + timedelta(seconds=120):
            again = upload(of=account, at=clock.now)
            with pytest.raises(UploadInFlightError) as refused:
                await ledger.begin(again, idempotency_key=None, lease_seconds=120)
            waits.append(refused.value.retry_after_seconds)
            clock.move(waits[-1])
        assert waits == [1, 1, 2, 4, 8, 16, 30, 30, 28]

    async def test_takes_over_a_dead_upload(self, ledger: DatabaseLedger, clock: Clock) -> None:
        """After the lease, the row is taken over with its id and key, and the lease begins anew."""
        first = upload(of=(account := owner()))
        await begin(ledger, first)
        clock.move(LEASE_SECONDS + 1)
        second = upload(of=account, at=clock.now)
        assert await begin(ledger, second) == BegunUpload(first, replayed=False)
        with pytest.raises(UploadInFlightError):
            await begin(ledger, second)

    async def test_renews_a_lease(self, ledger: DatabaseLedger, clock: Clock) -> None:
        """Renewed in time it lasts anew: nobody takes the row over before that has run out."""
        first = upload(of=(account := owner()))
        await begin(ledger, first)
        for _ in range(3):
            clock.move(LEASE_SECONDS - 1)
            await ledger.renew(first.id, lease_seconds=LEASE_SECONDS)
        clock.move(LEASE_SECONDS - 1)
        assert await ledger.expired(limit=10, lease_seconds=LEASE_SECONDS) == []
        with pytest.raises(UploadInFlightError):
            await begin(ledger, upload(of=account, at=clock.now))
        clock.move(2)
        assert await ledger.expired(limit=10, lease_seconds=LEASE_SECONDS) == [first]

    async def test_renews_no_lease_of_a_settled_row(
        self, ledger: DatabaseLedger, clock: Clock
    ) -> None:
        """
        Abandoned or stored meanwhile.

        Its holder learns of it, and a stored row gets no lease back.
        """
        gone = upload(b"one")
        stored = await store(ledger, upload(b"two"))
        await begin(ledger, gone)
        await ledger.abandon(gone.id)
        for settled in (gone, stored):
            with pytest.raises(UploadNotFoundError):
                await ledger.renew(settled.id, lease_seconds=LEASE_SECONDS)
        clock.move(LEASE_SECONDS * 2)
        assert await ledger.expired(limit=10, lease_seconds=LEASE_SECONDS) == []

    async def test_replays_a_stored_upload(self, ledger: DatabaseLedger) -> None:
        """Equal bytes of one owner are one upload: the second time the first receipt comes back."""
        first = await store(ledger, upload(of=(account := owner())))
        again = await begin(ledger, upload(of=account, at=NOON + timedelta(days=1)))
        assert (again.replayed, again.upload.receipt) == (True, first.receipt)

    async def test_keeps_owners_apart(self, ledger: DatabaseLedger, engine: AsyncEngine) -> None:
        """Equal bytes and equal idempotency keys of two owners are independent."""
        await store(ledger, upload(of=owner()), KEY)
        await store(ledger, upload(of=owner()), KEY)
        assert await rows(engine, UploadRow) == 2

    async def test_refuses_a_key_for_other_bytes(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """An idempotency key stands for the bytes it came with; other bytes leave no row."""
        await store(ledger, upload(b"one", of=(account := owner())), KEY)
        with pytest.raises(IdempotencyKeyReusedError):
            await begin(ledger, upload(b"two", of=account), KEY)
        assert await rows(engine, UploadRow) == 1

    async def test_lets_many_keys_stand_for_one_upload(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """A replay under another key binds that key too."""
        await store(ledger, upload(b"one", of=(account := owner())), KEY)
        assert (await begin(ledger, upload(b"one", of=account), IdempotencyKey("key-2"))).replayed
        with pytest.raises(IdempotencyKeyReusedError):
            await begin(ledger, upload(b"two", of=account), IdempotencyKey("key-2"))
        assert await rows(engine, IdempotencyKeyRow) == 2

    async def test_has_one_winner_for_equal_bytes(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """
        Of eight that begin the same bytes at once exactly one succeeds.

        The others are told to wait.
        """
        account = owner()
        outcomes = await asyncio.gather(
            *(begin(ledger, upload(of=account), KEY) for _ in range(8)), return_exceptions=True
        )
        assert sum(isinstance(outcome, BegunUpload) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, UploadInFlightError) for outcome in outcomes) == 7
        assert await rows(engine, UploadRow) == 1

    async def test_has_one_winner_for_a_key(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """Of eight different files under one key exactly one is begun; the others leave nothing."""
        account = owner()
        outcomes = await asyncio.gather(
            *(begin(ledger, upload(bytes([n]), of=account), KEY) for n in range(8)),
            return_exceptions=True,
        )
        assert sum(isinstance(outcome, BegunUpload) for outcome in outcomes) == 1
        assert sum(isinstance(outcome, IdempotencyKeyReusedError) for outcome in outcomes) == 7
        assert await rows(engine, UploadRow) == 1

    async def test_completes_with_the_message(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """Stored and in the outbox, by one commit."""
        new = upload()
        await begin(ledger, new)
        await ledger.complete(new.id, message(new), stored_at=NOON)
        found = await ledger.find(new.id)
        assert (found.state, found.stored_at) == (UploadState.STORED, NOON)
        assert await rows(engine, OutboxRow) == 1

    async def test_completes_once(self, ledger: DatabaseLedger, engine: AsyncEngine) -> None:
        """The second time changes nothing: one message stands in the outbox."""
        new = await store(ledger, upload())
        await ledger.complete(new.id, message(new), stored_at=NOON + timedelta(hours=1))
        assert await rows(engine, OutboxRow) == 1
        assert (await ledger.find(new.id)).stored_at == NOON

    async def test_completes_nothing_that_is_gone(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """An abandoned upload cannot be completed, and no message is left of the attempt."""
        new = upload()
        await begin(ledger, new)
        await ledger.abandon(new.id)
        with pytest.raises(UploadNotFoundError):
            await ledger.complete(new.id, message(new), stored_at=NOON)
        assert await rows(engine, OutboxRow) == 0

    async def test_abandons_with_the_key(self, ledger: DatabaseLedger, engine: AsyncEngine) -> None:
        """Row and key are gone, twice is safe, and the key is free for other bytes."""
        new = upload(b"one")
        await begin(ledger, new, KEY)
        await ledger.abandon(new.id)
        await ledger.abandon(new.id)
        assert (await rows(engine, UploadRow), await rows(engine, IdempotencyKeyRow)) == (0, 0)
        await begin(ledger, upload(b"two", of=new.owner), KEY)

    async def test_removes_the_object_of_no_success(self, ledger: DatabaseLedger) -> None:
        """It is not removed if the upload was completed first."""
        new = await store(ledger, upload())
        removed: list[str] = []

        async def remove() -> None:
            removed.append(new.receipt.object_key)

        await ledger.abandon(new.id, remove=remove)
        await ledger.abandon(upload(b"unknown").id, remove=remove)
        assert removed == []
        assert (await ledger.find(new.id)).state is UploadState.STORED

    async def test_completes_nothing_whose_object_is_being_removed(
        self, ledger: DatabaseLedger
    ) -> None:
        """A completion that begins meanwhile waits, and finds no upload."""
        new = upload()
        await begin(ledger, new)
        completing: list[asyncio.Task[None]] = []

        async def remove() -> None:
            completing.append(
                asyncio.create_task(ledger.complete(new.id, message(new), stored_at=NOON))
            )
            for _ in range(20):
                await asyncio.sleep(0)

        await ledger.abandon(new.id, remove=remove)
        with pytest.raises(UploadNotFoundError):
            await completing[0]

    async def test_keeps_a_row_whose_object_stays(self, ledger: DatabaseLedger) -> None:
        """The error is that of the store, and the janitor tries again."""
        new = upload()
        await begin(ledger, new)

        async def remove() -> None:
            raise StoreUnavailableError

        with pytest.raises(StoreUnavailableError):
            await ledger.abandon(new.id, remove=remove)
        assert (await ledger.find(new.id)).state is UploadState.STORING

    async def test_stores_a_lost_upload_anew(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """
        The same bytes take its row over, with its id and key.

        Completed, it waits to be announced once more.
        """
        first = await store(ledger, upload(b"a", of=(who := owner())), IdempotencyKey("k"))
        kept = DatabaseKeptUploads(engine, timeout_seconds=5)
        await kept.mark_lost(first.id, at=NOON)
        assert (await ledger.find(first.id)).state is UploadState.LOST
        begun = await begin(ledger, upload(b"a", of=who))
        assert (begun.replayed, begun.upload.id, begun.upload.receipt) == (
            False,
            first.id,
            first.receipt,
        )
        with pytest.raises(UploadInFlightError):
            await begin(ledger, upload(b"a", of=who))
        await ledger.abandon(first.id)
        assert (await ledger.find(first.id)).state is UploadState.LOST
        await begin(ledger, upload(b"a", of=who), IdempotencyKey("k"))
        await ledger.complete(first.id, message(first), stored_at=NOON)
        assert (await ledger.find(first.id)).state is UploadState.STORED
        assert (await begin(ledger, upload(b"a", of=who))).replayed
        assert await rows(engine, OutboxRow) == 2

    async def test_has_one_winner_for_a_lost_upload(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """Of five concurrent uploads of the same bytes one stores them, four are refused."""
        first = await store(ledger, upload(b"a", of=(who := owner())))
        await DatabaseKeptUploads(engine, timeout_seconds=5).mark_lost(first.id, at=NOON)
        outcomes = await asyncio.gather(
            *(begin(ledger, upload(b"a", of=who)) for _ in range(5)), return_exceptions=True
        )
        assert sum(isinstance(one, UploadInFlightError) for one in outcomes) == 4

    async def test_marks_and_forgets_what_is_lost(
        self, ledger: DatabaseLedger, engine: AsyncEngine
    ) -> None:
        """
        Found again it is what it was; forgotten it is gone with its key and message.

        Others are left alone.
        """
        kept = DatabaseKeptUploads(engine, timeout_seconds=5)
        stored = await store(ledger, upload(b"a", of=(who := owner())), IdempotencyKey("k"))
        begun = (await begin(ledger, upload(b"b", of=who))).upload
        await kept.mark_lost(begun.id, at=NOON)
        assert (await ledger.find(begun.id)).state is UploadState.STORING
        assert not await kept.forget(stored.id)
        await kept.mark_lost(stored.id, at=NOON)
        assert [one.is_lost for one in await kept.named([stored.id, begun.id])] == [True]
        await kept.mark_found(stored.id)
        await kept.mark_found(begun.id)
        assert (await ledger.find(stored.id)).state is UploadState.STORED
        await kept.mark_lost(stored.id, at=NOON)
        assert await kept.forget(stored.id)
        assert not await kept.forget(stored.id)
        assert [
            await rows(engine, table) for table in (UploadRow, IdempotencyKeyRow, OutboxRow)
        ] == [1, 0, 0]

    async def test_abandons_nothing_stored(self, ledger: DatabaseLedger) -> None:
        """What was answered with success cannot be undone."""
        new = await store(ledger, upload())
        await ledger.abandon(new.id)
        assert (await ledger.find(new.id)).state is UploadState.STORED

    async def test_records_the_event_in_the_same_commit(
        self, engine: AsyncEngine, ledger: DatabaseLedger
    ) -> None:
        """Once, with the upload: neither for a second call nor for a missing row."""
        new = upload()
        await ledger.begin(new, idempotency_key=None, lease_seconds=60)
        recorded = uploaded(new, token_id="token", at=NOON)
        for _ in range(2):
            await ledger.complete(new.id, message(new), stored_at=NOON, event=recorded)
        missing = upload()
        with pytest.raises(UploadNotFoundError):
            await ledger.complete(missing.id, message(missing), stored_at=NOON, event=recorded)
        found = await DatabaseAuditLog(engine, timeout_seconds=5).unchained(after=0, limit=9)
        assert [one.event for one in found] == [recorded]

    async def test_an_event_costs_postgresql_no_statement(
        self, engine: AsyncEngine, ledger: DatabaseLedger
    ) -> None:
        """It is part of the statement that stores the upload; on SQLite it is one more."""
        statements: list[str] = []

        @event.listens_for(engine.sync_engine, "before_cursor_execute")
        def _note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
            statements.append(statement)

        counts = []
        for number, is_recorded in enumerate((False, True)):
            new = upload(f"{number}".encode())
            await ledger.begin(new, idempotency_key=None, lease_seconds=60)
            statements.clear()
            recorded = uploaded(new, token_id="token", at=NOON) if is_recorded else None
            await ledger.complete(new.id, message(new), stored_at=NOON, event=recorded)
            counts.append(len(statements))
        more = 0 if engine.dialect.name == "postgresql" else 1
        assert counts[1] - counts[0] == more

    async def test_hides_what_others_own(self, ledger: DatabaseLedger) -> None:
        """The history has the uploads of its account only; `find` leaves that to the caller."""
        new = await store(ledger, upload())
        stranger = owner()
        assert await ledger.find(new.id) == (await ledger.history(new.owner, limit=10)).uploads[0]
        with pytest.raises(UploadNotFoundError):
            await ledger.find(upload().id)
        assert (await ledger.history(stranger, limit=10)).uploads == ()

    async def test_pages_through_the_history(self, ledger: DatabaseLedger) -> None:
        """Pages follow each other, newest first, each upload once, those of one moment included."""
        account = owner()
        moments = [NOON, NOON, NOON, NOON + timedelta(seconds=1), NOON - timedelta(microseconds=1)]
        for number, at in enumerate(moments):
            await begin(ledger, upload(bytes([number]), of=account, at=at))
        seen: list[Upload] = []
        cursor: str | None = None
        while True:
            page = await ledger.history(account, limit=2, cursor=cursor)
            seen += page.uploads
            cursor = page.next_cursor
            if cursor is None:
                break
        assert len({found.id for found in seen}) == len(seen) == 5
        assert [found.received_at for found in seen] == sorted(moments, reverse=True)

    async def test_filters_the_history(self, ledger: DatabaseLedger) -> None:
        """By record type and by state."""
        account = owner()
        stored = await store(ledger, upload(b"1", of=account, record_type="BloodGlucoseRecord"))
        storing = (await begin(ledger, upload(b"2", of=account))).upload
        by_type = await ledger.history(account, limit=10, record_type="BloodGlucoseRecord")
        by_state = await ledger.history(account, limit=10, state=UploadState.STORING)
        assert [found.id for found in by_type.uploads] == [stored.id]
        assert [found.id for found in by_state.uploads] == [storing.id]

    @pytest.mark.parametrize("cursor", ["", "x", "AAAA", "bm90fGE=", "é", "MjAyNi0wMy0wMXx4"])
    async def test_refuses_a_foreign_cursor(self, ledger: DatabaseLedger, cursor: str) -> None:
        """Only a cursor that we gave opens a page."""
        with pytest.raises(InvalidCursorError):
            await ledger.history(owner(), limit=10, cursor=cursor)

    async def test_hands_out_expired_rows_once(self, ledger: DatabaseLedger, clock: Clock) -> None:
        """Only rows whose lease is over, oldest first; taken, they have a new lease."""
        first = upload(b"1")
        stored = upload(b"2")
        await begin(ledger, first)
        await store(ledger, stored)
        clock.move(1)
        second = upload(b"3", at=clock.now)
        await begin(ledger, second)
        assert await ledger.expired(limit=10, lease_seconds=60) == []
        clock.move(LEASE_SECONDS + 1)
        assert await ledger.expired(limit=10, lease_seconds=60) == [first, second]
        assert await ledger.expired(limit=10, lease_seconds=60) == []
        with pytest.raises(UploadInFlightError):
            await begin(ledger, upload(b"1", of=first.owner))

    async def test_shares_expired_rows(self, ledger: DatabaseLedger, clock: Clock) -> None:
        """Of four janitors that look at once no two get the same row."""
        for number in range(4):
            await begin(ledger, upload(bytes([number])))
        clock.move(LEASE_SECONDS + 1)
        shares = await asyncio.gather(
            *(ledger.expired(limit=1, lease_seconds=60) for _ in range(4))
        )
        taken = [found.id for share in shares for found in share]
        assert len(taken) == len(set(taken))

    async def test_says_that_it_can_write(self, ledger: DatabaseLedger) -> None:
        """The check passes on a migrated database."""
        await ledger.check()

    async def test_says_that_it_is_not_migrated(self, database_url: str) -> None:
        """A database without tables cannot take a row."""
        async with open_engine(database_url, pool_size=1, timeout_seconds=5) as engine:
            with pytest.raises(LedgerUnavailableError):
                await DatabaseLedger(engine, timeout_seconds=5).check()

    async def test_survives_cancellation_without_a_key(self, ledger: DatabaseLedger) -> None:
        """
        Cancelled at whatever moment, also after its one statement.

        The next call works at once.
        """
        for wait in count():
            cancelled = await is_cancelled_at(wait, store(ledger, upload(f"{wait}".encode())))
            await ledger.check()
            if not cancelled:
                break
        assert wait > 0

    async def test_survives_cancellation(self, ledger: DatabaseLedger, engine: AsyncEngine) -> None:
        """
        Cancelled at whatever moment.

        Each row is there whole or not at all, and the next call works at once.
        """
        for wait in count():
            new = upload(f"{wait}".encode())
            cancelled = await is_cancelled_at(wait, begin(ledger, new, IdempotencyKey(str(wait))))
            await ledger.check()
            if not cancelled:
                break
        assert wait > 0
        assert await rows(engine, UploadRow) == await rows(engine, IdempotencyKeyRow)


async def test_an_unreachable_server_is_unavailable() -> None:
    """Nobody listens there: unclear for the core, never the driver's error."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=2
    ) as engine:
        with pytest.raises(LedgerUnavailableError):
            await DatabaseLedger(engine, timeout_seconds=2).find(upload().id)


@pytest.mark.parametrize("fresh_seconds", [0.0, 3600.0], ids=["asked", "known"])
async def test_a_kept_connection_that_is_gone_costs_nobody_an_upload(
    monkeypatch: pytest.MonkeyPatch, postgres_url: str, fresh_seconds: float
) -> None:
    """
    The server has hung up.

    The pool finds out, by asking or by itself, before anything is sent on it.
    """
    monkeypatch.setattr(
        "healthingest_service.adapters.database.engine._FRESH_SECONDS", fresh_seconds
    )
    await migrate(postgres_url, timeout_seconds=20)
    async with (
        open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine,
        open_engine(postgres_url, pool_size=1, timeout_seconds=5) as other,
    ):
        ledger = DatabaseLedger(engine, timeout_seconds=5)
        hung_up = asyncio.Event()
        async with engine.connect() as connection:
            pid = await connection.scalar(text("SELECT pg_backend_pid()"))
            driver = (await connection.get_raw_connection()).driver_connection
            assert driver is not None
            driver.add_termination_listener(lambda _: hung_up.set())
        async with transaction(other, timeout_seconds=5) as connection:
            await connection.execute(text("SELECT pg_terminate_backend(:pid, 5000)"), {"pid": pid})
        if fresh_seconds:
            async with asyncio.timeout(HANG_SECONDS):
                await hung_up.wait()
        await store(ledger, upload())


async def test_a_read_only_server_is_unavailable(postgres_url: str) -> None:
    """A stand-by, or a database that was made read-only, cannot take a row."""
    await migrate(postgres_url, timeout_seconds=20)
    name = read_database_address(postgres_url).database
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=5) as engine:
        async with transaction(engine, timeout_seconds=5) as connection:
            await connection.execute(
                text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
            )
        await engine.dispose()  # the setting holds for new connections
        with pytest.raises(LedgerUnavailableError):
            await DatabaseLedger(engine, timeout_seconds=5).check()


async def test_a_wrong_password_is_unavailable(postgres_url: str) -> None:
    """Refused at the door: unavailable, and the password stands in no text of the error."""
    url = postgres_url.replace("postgres-test-password", "not-this-secret")
    async with open_engine(url, pool_size=1, timeout_seconds=5) as engine:
        with pytest.raises(LedgerUnavailableError) as failed:
            await DatabaseLedger(engine, timeout_seconds=5).check()
        assert "not-this-secret" not in repr(failed.value.__cause__)


async def test_two_engines_share_nothing_but_the_database(
    engine: AsyncEngine, migrated_url: str
) -> None:
    """What one process committed, another sees at once."""
    new = await store(DatabaseLedger(engine, timeout_seconds=5), upload())
    async with open_engine(migrated_url, pool_size=1, timeout_seconds=5) as other:
        assert (await DatabaseOutbox(other, timeout_seconds=5).backlog()).count == 1
        found = await DatabaseLedger(other, timeout_seconds=5).find(new.id)
        assert found.state is UploadState.STORED


async def test_a_value_that_the_server_refuses_is_no_outage(postgres_url: str) -> None:
    """
    Repeating a statement with U+0000 cannot heal it.

    It must not be told as one that is safe to repeat.
    """
    async with open_engine(postgres_url, pool_size=1, timeout_seconds=20) as engine:
        with pytest.raises(DBAPIError):
            async with transaction(engine, timeout_seconds=20) as connection:
                await connection.execute(text("SELECT CAST(:given AS text)"), {"given": "a\0b"})
