"""The port `Sessions`, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, inspect, select
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.account_tables import AccountRow, RefreshTokenRow
from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.sessions import DatabaseSessions
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.identity.errors import InvalidCredentialsError, InvalidTokenError
from healthingest_service.identity.model import (
    Account,
    AccountId,
    ListedSession,
    NewAccount,
    NewPassword,
    RefreshToken,
    Rotation,
    Session,
    SessionId,
)

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


@pytest.fixture(name="accounts")
async def _accounts(engine: AsyncEngine) -> AsyncIterator[DatabaseAccounts]:
    async with open_password_pool(threads=1, queue_limit=1) as passwords:
        yield DatabaseAccounts(engine, passwords, timeout_seconds=5)


@pytest.fixture(name="account")
async def _account(accounts: DatabaseAccounts) -> Account:
    return await accounts.add(NewAccount("ada@clinic.example", "x" * 8))


@pytest.fixture(name="sessions")
def _sessions(engine: AsyncEngine) -> DatabaseSessions:
    return DatabaseSessions(engine, timeout_seconds=5)


@pytest.fixture(name="session")
async def _session(sessions: DatabaseSessions, account: Account) -> Session:
    """A login whose refresh token has the hash `first`."""
    session = Session(SessionId(uuid4()), account.id, NOW)
    await sessions.begin(session, RefreshToken("first", LATER), password_version=0)
    return session


async def rotate(
    sessions: DatabaseSessions,
    used: str,
    child: str,
    *,
    at: datetime = NOW,
    longest: timedelta = timedelta(days=3650),
) -> Rotation:
    """Exchange the token of one hash for another; the child's hash is its salt, too."""
    return await sessions.rotate(
        used,
        child_salt=child.encode(),
        child=RefreshToken(child, LATER),
        at=at,
        longest=longest,
    )


class TestSessions:
    """What both databases do."""

    async def test_exchanges_a_token(
        self, sessions: DatabaseSessions, session: Session, account: Account
    ) -> None:
        """The first use returns the session, and makes the new token valid."""
        first = await rotate(sessions, "first", "second")
        assert first == Rotation(session.id, session.account_id, account.email, b"second", None)
        assert (await rotate(sessions, "second", "third")).first_used_at is None

    @pytest.mark.usefixtures("session")
    async def test_a_second_use_tells_of_the_first(self, sessions: DatabaseSessions) -> None:
        """It returns the salt and time of the first use, and creates no other token."""
        await rotate(sessions, "first", "second")
        again = await rotate(sessions, "first", "other", at=NOW + timedelta(seconds=5))
        assert (again.child_salt, again.first_used_at) == (b"second", NOW)
        with pytest.raises(InvalidTokenError):
            await rotate(sessions, "other", "x")

    @pytest.mark.usefixtures("session")
    async def test_has_one_first_at_one_moment(
        self, sessions: DatabaseSessions, engine: AsyncEngine
    ) -> None:
        """Of five concurrent uses one is the first, and all get its salt."""
        made = await asyncio.gather(
            *(rotate(sessions, "first", f"child{number}") for number in range(5))
        )
        async with engine.connect() as connection:
            count = (
                await connection.execute(select(func.count()).select_from(RefreshTokenRow))
            ).scalar_one()
        assert sum(one.first_used_at is None for one in made) == 1
        assert len({one.child_salt for one in made}) == 1
        assert count == 2

    async def test_ends_with_its_session(
        self, sessions: DatabaseSessions, account: Account
    ) -> None:
        """No exchange extends a session that has an end."""
        ends_at = NOW + timedelta(hours=12)
        session = Session(SessionId(uuid4()), account.id, NOW, ends_at)
        await sessions.begin(session, RefreshToken("first", ends_at), password_version=0)
        await rotate(sessions, "first", "second")
        before = ends_at - timedelta(seconds=1)
        assert (await rotate(sessions, "second", "third", at=before)).session_id == session.id
        with pytest.raises(InvalidTokenError):
            await rotate(sessions, "third", "fourth", at=ends_at)

    @pytest.mark.usefixtures("session")
    async def test_ends_after_its_lifetime(self, sessions: DatabaseSessions) -> None:
        """Counted from its login, also if a token is valid for longer; new tokens end with it."""
        longest = timedelta(hours=1)
        last = NOW + longest - timedelta(seconds=1)
        await rotate(sessions, "first", "second", at=last, longest=longest)
        with pytest.raises(InvalidTokenError):
            await rotate(sessions, "second", "third", at=NOW + longest)
        await rotate(sessions, "second", "third", at=last)
        for used in ("second", "third"):
            with pytest.raises(InvalidTokenError):
                await rotate(sessions, used, "fourth", at=NOW + longest, longest=longest)

    @pytest.mark.usefixtures("session")
    async def test_refuses_the_unknown_and_what_has_run_out(
        self, sessions: DatabaseSessions
    ) -> None:
        """Both get the same answer."""
        for used, at in (("unknown", NOW), ("first", LATER)):
            with pytest.raises(InvalidTokenError):
                await rotate(sessions, used, "child", at=at)

    async def test_revoking_ends_everything_of_one_session(
        self, sessions: DatabaseSessions, session: Session, account: Account
    ) -> None:
        """A repeat is safe; another session of the account is kept."""
        other = Session(SessionId(uuid4()), account.id, NOW)
        await sessions.begin(other, RefreshToken("others", LATER), password_version=0)
        assert await sessions.is_live(session.id, session.account_id)
        await sessions.revoke(session.id, at=NOW)
        await sessions.revoke(session.id, at=NOW)
        assert not await sessions.is_live(session.id, session.account_id)
        assert await sessions.is_live(other.id, account.id)
        assert not await sessions.is_live(SessionId(uuid4()), account.id)
        with pytest.raises(InvalidTokenError):
            await rotate(sessions, "first", "child")

    async def test_a_session_is_its_accounts_alone(
        self, sessions: DatabaseSessions, session: Session
    ) -> None:
        """For another account it is not live; a refresh token leads to its own session."""
        assert not await sessions.is_live(session.id, AccountId(uuid4()))
        assert await sessions.find("first") == session.id
        assert await sessions.find("unknown") is None

    async def test_revokes_one_session_of_its_owner(
        self, sessions: DatabaseSessions, session: Session
    ) -> None:
        """It works once; for another account, and for an unknown session, nothing is revoked."""
        for session_id, account_id in (
            (session.id, AccountId(uuid4())),
            (SessionId(uuid4()), session.account_id),
        ):
            assert not await sessions.revoke_one(session_id, account_id, at=NOW)
        assert await sessions.is_live(session.id, session.account_id)
        revoked = [
            await sessions.revoke_one(session.id, session.account_id, at=NOW) for _ in range(2)
        ]
        assert revoked == [True, False]
        assert not await sessions.is_live(session.id, session.account_id)

    async def test_revokes_the_others(self, sessions: DatabaseSessions, session: Session) -> None:
        """The kept session stays live, every other session of the account is revoked."""
        others = [Session(SessionId(uuid4()), session.account_id, NOW) for _ in range(2)]
        for number, other in enumerate(others):
            await sessions.begin(other, RefreshToken(f"other{number}", LATER), password_version=0)
        await sessions.revoke_others(session.account_id, keep=session.id, at=NOW)
        assert await sessions.is_live(session.id, session.account_id)
        assert not any([await sessions.is_live(one.id, one.account_id) for one in others])

    async def test_lists_live_sessions(self, sessions: DatabaseSessions, session: Session) -> None:
        """
        The newest come first, with their last refresh, up to the limit.

        Revoked and expired sessions are left out.
        """
        owner = session.account_id
        newer = Session(SessionId(uuid4()), owner, NOW + timedelta(hours=1))
        revoked = Session(SessionId(uuid4()), owner, NOW)
        for number, other in enumerate((newer, revoked)):
            await sessions.begin(other, RefreshToken(f"other{number}", LATER), password_version=0)
        await sessions.revoke(revoked.id, at=NOW)
        await rotate(sessions, "first", "second", at=NOW + timedelta(hours=2))
        listed = [
            ListedSession(newer.id, newer.created_at, None),
            ListedSession(session.id, NOW, NOW + timedelta(hours=2)),
        ]
        assert await sessions.live_sessions(owner, at=NOW, limit=5) == listed
        assert await sessions.live_sessions(owner, at=NOW, limit=1) == listed[:1]
        assert await sessions.live_sessions(owner, at=LATER, limit=5) == []
        assert await sessions.live_sessions(AccountId(uuid4()), at=NOW, limit=5) == []

    async def test_no_session_begins_with_a_replaced_password(
        self, sessions: DatabaseSessions, account: Account, accounts: DatabaseAccounts
    ) -> None:
        """
        Of logins that run beside a password change none keeps a live session.

        They have checked the old password before the change.
        """
        began = [Session(SessionId(uuid4()), account.id, NOW) for _ in range(8)]
        change = NewPassword(account_id=account.id, password="y" * 8, password_version=0)
        *outcomes, changed = await asyncio.gather(
            *(
                sessions.begin(one, RefreshToken(str(one.id), LATER), password_version=0)
                for one in began
            ),
            accounts.set_password(change, at=NOW),
            return_exceptions=True,
        )
        assert changed is True
        assert {type(one) for one in outcomes} <= {type(None), InvalidCredentialsError}
        assert not any([await sessions.is_live(one.id, account.id) for one in began])
        with pytest.raises(InvalidCredentialsError):
            await sessions.begin(began[0], RefreshToken("x", LATER), password_version=0)

    async def test_an_inactive_account_has_no_live_session(
        self, sessions: DatabaseSessions, session: Session, engine: AsyncEngine
    ) -> None:
        """A deactivated account is refused at once."""
        async with engine.begin() as connection:
            # mypy: a Table
            await connection.execute(AccountRow.__table__.update().values(is_active=False))  # type: ignore[attr-defined]
        assert not await sessions.is_live(session.id, session.account_id)
        with pytest.raises(InvalidTokenError):
            await rotate(sessions, "first", "child")

    async def test_forgets_what_nobody_can_use(
        self, sessions: DatabaseSessions, session: Session, engine: AsyncEngine
    ) -> None:
        """A session is removed with its tokens when the last of them has expired, not before."""
        assert await sessions.forget_expired(before=LATER, limit=9) == 0
        assert await sessions.is_live(session.id, session.account_id)
        assert await sessions.forget_expired(before=LATER + timedelta(seconds=1), limit=9) == 1
        async with engine.connect() as connection:
            count = (
                await connection.execute(select(func.count()).select_from(RefreshTokenRow))
            ).scalar_one()
        assert count == 0

    async def test_forgets_the_oldest_first(
        self, sessions: DatabaseSessions, session: Session
    ) -> None:
        """A batch has a limit; a session stays until its last token has expired."""
        children = [NOW + timedelta(hours=hours) for hours in (2, 3)]
        for number, end in enumerate(children):
            other = Session(SessionId(uuid4()), session.account_id, NOW)
            await sessions.begin(other, RefreshToken(f"o{number}", end), password_version=0)
        after = LATER + timedelta(seconds=1)
        assert await sessions.forget_expired(before=after, limit=2) == 2
        assert await sessions.find("first") == session.id
        assert await sessions.forget_expired(before=after, limit=2) == 1
        assert not await sessions.is_live(session.id, session.account_id)


async def test_the_account_tables_are_those_of_the_code(engine: AsyncEngine) -> None:
    """Migrated databases have every column of accounts, sessions and tokens, and no other."""
    tables = ("account", "login_session", "refresh_token")
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: {
                name: {
                    (column["name"], column["nullable"])
                    for column in inspect(sync).get_columns(name)
                }
                for name in tables
            }
        )
    metadata = AccountRow.metadata
    assert found == {
        name: {(column.name, bool(column.nullable)) for column in metadata.tables[name].columns}
        for name in tables
    }
