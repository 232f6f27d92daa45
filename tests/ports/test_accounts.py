"""The port `Accounts`, on SQLite and on PostgreSQL."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.password_pool import PasswordPool, open_password_pool
from healthingest_service.identity.errors import (
    AccountExistsError,
    IdentityUnavailableError,
    InvalidCredentialsError,
    PasswordQueueFullError,
)
from healthingest_service.identity.model import (
    Account,
    AccountId,
    NewAccount,
    NewPassword,
    RefreshToken,
    Session,
    SessionId,
)
from support.deadlines import HANG_SECONDS

EMAIL = "ada@clinic.example"
PASSWORD = "correct horse battery"
NEW = NewAccount(EMAIL, PASSWORD, "Ada", "Example")
NEXT = "another horse battery"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)


@pytest.fixture(name="passwords")
async def _passwords() -> AsyncIterator[PasswordPool]:
    async with open_password_pool(threads=2, queue_limit=8) as pool:
        yield pool


@pytest.fixture(name="accounts")
def _accounts(engine: AsyncEngine, passwords: PasswordPool) -> DatabaseAccounts:
    return DatabaseAccounts(engine, passwords, timeout_seconds=5)


class TestAccounts:
    """What both databases do."""

    async def test_keeps_an_account(self, accounts: DatabaseAccounts) -> None:
        """What was added is found by its id, with times in UTC; nothing is verified by itself."""
        added = await accounts.add(NEW)
        assert await accounts.get(added.id) == added
        assert (added.email, added.first_name, added.last_name) == (EMAIL, "Ada", "Example")
        assert (added.is_active, added.is_verified) == (True, False)
        assert added.created_at.utcoffset() == added.updated_at.utcoffset()
        assert await accounts.get(AccountId(uuid4())) is None

    async def test_has_one_winner_for_an_address(self, accounts: DatabaseAccounts) -> None:
        """Of four concurrent registrations of one address one succeeds, and three get an error."""
        outcomes = await asyncio.gather(
            *(accounts.add(NEW) for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(one, AccountExistsError) for one in outcomes) == 3

    async def test_opens_with_the_password_alone(self, accounts: DatabaseAccounts) -> None:
        """The right password finds the account; a wrong one and an unknown address find none."""
        added = await accounts.add(NEW)
        assert await accounts.authenticate(EMAIL, PASSWORD) == added
        assert await accounts.authenticate(EMAIL, PASSWORD + "x") is None
        assert await accounts.authenticate("nobody@clinic.example", PASSWORD) is None

    async def test_makes_an_account_for_a_providers_user(self, accounts: DatabaseAccounts) -> None:
        """Of concurrent first requests one creates it; no password opens it."""
        account_id = AccountId(uuid4())
        found = await asyncio.gather(*(accounts.admit_external(account_id) for _ in range(4)))
        assert found == [True] * 4
        account = await accounts.get(account_id)
        assert account is not None
        assert (account.first_name, account.last_name) == (None, None)
        await accounts.deactivate(account.email)
        assert not await accounts.admit_external(account_id)

    async def test_closes_an_account(self, accounts: DatabaseAccounts) -> None:
        """
        It is kept with its password, but not active.

        A repeat is no error, and an unknown account is reported.
        """
        added = await accounts.add(NEW)
        assert [await accounts.deactivate(EMAIL) for _ in range(2)] == [added.id, added.id]
        found = await accounts.authenticate(EMAIL, PASSWORD)
        assert found is not None
        assert (found.id, found.is_active) == (added.id, False)
        assert await accounts.deactivate("nobody@clinic.example") is None

    async def test_changes_names(self, accounts: DatabaseAccounts) -> None:
        """A name that is given changes, None removes it, and a name that is left out stays."""
        added = await accounts.add(NEW)
        for names, expected in (
            ({"first_name": "Eva"}, ("Eva", "Example")),
            ({"last_name": None}, ("Eva", None)),
            ({}, ("Eva", None)),
        ):
            renamed = await accounts.rename(added.id, names)
            assert renamed is not None
            assert (renamed.first_name, renamed.last_name) == expected
            assert await accounts.get(added.id) == renamed
        assert await accounts.rename(AccountId(uuid4()), {"first_name": "x"}) is None

    async def test_changes_a_password(
        self, accounts: DatabaseAccounts, engine: AsyncEngine
    ) -> None:
        """The new password opens, the old one does not; one session is kept, the other revoked."""
        added = await accounts.add(NEW)
        sessions = DatabaseSessions(engine, timeout_seconds=5)
        kept, other = (Session(SessionId(uuid4()), added.id, NOW) for _ in range(2))
        for one in (kept, other):
            token = RefreshToken(str(one.id), NOW + timedelta(days=1))
            await sessions.begin(one, token, password_version=added.password_version)
        change = NewPassword(account_id=added.id, password=NEXT, password_version=0, keep=kept.id)
        assert await accounts.set_password(change, at=NOW)
        assert await accounts.authenticate(EMAIL, PASSWORD) is None
        found = await accounts.authenticate(EMAIL, NEXT)
        assert found is not None
        assert (found.password_version, found.is_verified) == (1, False)
        assert await sessions.is_live(kept.id, added.id)
        assert not await sessions.is_live(other.id, added.id)

    async def test_changes_the_password_that_was_checked(self, accounts: DatabaseAccounts) -> None:
        """Of four concurrent changes one succeeds; an inactive account keeps its password."""
        added = await accounts.add(NEW)

        def change(account: Account, password: str) -> NewPassword:
            return NewPassword(
                account_id=account.id,
                password=password,
                password_version=account.password_version,
                proves_email=True,
            )

        outcomes = await asyncio.gather(
            *(accounts.set_password(change(added, f"{NEXT}{n}"), at=NOW) for n in range(4))
        )
        assert sorted(outcomes) == [False, False, False, True]
        found = await accounts.get(added.id)
        assert found is not None
        assert found.is_verified
        await accounts.deactivate(EMAIL)
        assert not await accounts.set_password(change(found, PASSWORD), at=NOW)

    async def test_closes_for_good(self, accounts: DatabaseAccounts, engine: AsyncEngine) -> None:
        """The address is free again, and no session is live; a repeat closes nothing."""
        added = await accounts.add(NEW)
        sessions = DatabaseSessions(engine, timeout_seconds=5)
        session = Session(SessionId(uuid4()), added.id, NOW)
        token = RefreshToken("hash", NOW + timedelta(days=1))
        await sessions.begin(session, token, password_version=0)
        assert not await accounts.close(added.id, password_version=1, at=NOW)
        closed = [await accounts.close(added.id, password_version=0, at=NOW) for _ in range(2)]
        assert closed == [True, False]
        assert not await accounts.close(AccountId(uuid4()), password_version=0, at=NOW)
        assert not await sessions.is_live(session.id, added.id)
        assert await sessions.find("hash") is None
        with pytest.raises(InvalidCredentialsError):
            await sessions.begin(session, token, password_version=0)
        assert (await accounts.add(NEW)).id != added.id

    async def test_one_of_the_last_two_administrators_stays(
        self, accounts: DatabaseAccounts, engine: AsyncEngine
    ) -> None:
        """They close at the same moment, and one of them is refused."""
        both = [await accounts.add(NewAccount(f"{name}@clinic.example", PASSWORD)) for name in "ab"]
        async with engine.begin() as connection:
            # mypy: a Table
            await connection.execute(AccountRow.__table__.update().values(is_superuser=True))  # type: ignore[attr-defined]
        outcomes = await asyncio.gather(
            *(accounts.close(one.id, password_version=0, at=NOW) for one in both),
            return_exceptions=True,
        )
        assert sorted(type(one).__name__ for one in outcomes) == ["LastAdministratorError", "bool"]

    async def test_keeps_who_vouched(self, accounts: DatabaseAccounts) -> None:
        """An account that an administrator creates has a verified address."""
        assert (await accounts.add(NewAccount(EMAIL, PASSWORD, is_verified=True))).is_verified

    async def test_keeps_no_password(self, accounts: DatabaseAccounts, engine: AsyncEngine) -> None:
        """What is stored is Argon2id, with the parameters that we set."""
        await accounts.add(NEW)
        async with engine.connect() as connection:
            row = (await connection.execute(AccountRow.__table__.select())).one()
        assert row.hashed_password.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert PASSWORD not in str(row)


async def test_a_hash_that_is_none_opens_nothing(passwords: PasswordPool) -> None:
    """A stored text that is not a hash causes no error, and no password opens it."""
    with passwords.slot() as hasher:
        assert await hasher.verify(PASSWORD, "plain") == (False, None)


async def test_a_letter_has_one_form(passwords: PasswordPool) -> None:
    """A password is the same in composed and decomposed Unicode form."""
    with passwords.slot() as hasher:
        stored = await hasher.hash("p\u00e4ssw\u00f6rter")
        assert (await hasher.verify("pa\u0308sswo\u0308rter", stored))[0]


async def test_too_many_at_once_are_turned_away() -> None:
    """Above the queue's limit logins are refused; later there is room again."""

    async def hashed(pool: PasswordPool) -> str:
        with pool.slot() as hasher:
            return await hasher.hash(PASSWORD)

    async with open_password_pool(threads=1, queue_limit=2) as pool:
        outcomes = await asyncio.gather(*(hashed(pool) for _ in range(5)), return_exceptions=True)
        assert sum(isinstance(one, PasswordQueueFullError) for one in outcomes) == 3
        assert (await hashed(pool)).startswith("$argon2id$")


async def test_a_caller_that_leaves_frees_no_thread() -> None:
    """Its slot is taken until the hash is done, so leaving early does not allow more work."""
    async with open_password_pool(threads=1, queue_limit=1) as pool:
        with suppress(asyncio.CancelledError), pool.slot() as hasher:
            hashing = asyncio.ensure_future(hasher.hash(PASSWORD))
            await asyncio.sleep(0)
            hashing.cancel()
            await hashing
        running = hasher.running
        assert running is not None
        if not running.done():
            with pytest.raises(PasswordQueueFullError), pool.slot():
                pass
        async with asyncio.timeout(HANG_SECONDS):
            while True:
                with suppress(PasswordQueueFullError), pool.slot():
                    break
                await asyncio.sleep(0.01)  # the pause of a poll


async def test_a_full_queue_is_told_before_the_database_is_asked(engine: AsyncEngine) -> None:
    """A flood of logins beyond the queue costs no statement."""
    asked = list[str]()
    async with open_password_pool(threads=1, queue_limit=1) as pool:
        accounts = DatabaseAccounts(engine, pool, timeout_seconds=5)
        event.listen(
            engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2])
        )
        with pool.slot(), pytest.raises(PasswordQueueFullError):
            await accounts.authenticate(EMAIL, PASSWORD)
    assert asked == []


async def test_threads_have_a_low_priority(passwords: PasswordPool) -> None:
    """Hashing has a lower priority than all other work."""
    loop = asyncio.get_running_loop()
    niceness = await loop.run_in_executor(
        passwords._executor, lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    assert niceness == 15


async def test_a_dead_database_is_unavailable(passwords: PasswordPool) -> None:
    """A database that does not answer is reported as unavailable within the deadline."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=1
    ) as engine:
        accounts = DatabaseAccounts(engine, passwords, timeout_seconds=1)
        for call in (
            accounts.add(NEW),
            accounts.authenticate(EMAIL, PASSWORD),
            accounts.get(AccountId(uuid4())),
        ):
            with pytest.raises(IdentityUnavailableError):
                await call
