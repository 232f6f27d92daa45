"""The port `Sessions` with the database."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, Update, delete, exists, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    LoginSessionRow,
    RefreshTokenRow,
)
from healthingest_service.adapters.database.engine import transaction_raising
from healthingest_service.identity.errors import (
    IdentityUnavailableError,
    InvalidCredentialsError,
    InvalidTokenError,
)
from healthingest_service.identity.model import (
    AccountId,
    ListedSession,
    RefreshToken,
    Rotation,
    Session,
    SessionId,
)

_LIVE_SESSIONS = (
    select(LoginSessionRow.id)
    # mypy: typed as bool upstream
    .join(AccountRow, AccountRow.id == LoginSessionRow.account_id)  # type: ignore[arg-type]
    .where(LoginSessionRow.revoked_at.is_(None), AccountRow.__table__.c.is_active)
)


class DatabaseSessions:
    """Sessions and refresh tokens. The first use of a token is the first update of its row."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def begin(self, session: Session, first: RefreshToken, *, password_version: int) -> None:
        """See `Sessions.begin`; the lock of the row orders it and a password change."""
        account = AccountRow.__table__.c
        current = (
            select(account.password_version)
            .where(account.id == session.account_id)
            .with_for_update(read=True)
        )
        async with self._transaction() as connection:
            if await connection.scalar(current) != password_version:
                raise InvalidCredentialsError
            await connection.execute(
                insert(LoginSessionRow).values(
                    id=session.id,
                    account_id=session.account_id,
                    created_at=session.created_at,
                    ends_at=session.ends_at,
                )
            )
            await _insert(connection, session.id, first)

    async def rotate(
        self,
        token_hash: str,
        *,
        child_salt: bytes,
        child: RefreshToken,
        at: datetime,
        longest: timedelta,
    ) -> Rotation:
        """See `Sessions.rotate`."""
        live = _LIVE_SESSIONS.where(LoginSessionRow.created_at > at - longest)
        use = (
            update(RefreshTokenRow)
            .where(
                RefreshTokenRow.token_hash == token_hash,
                RefreshTokenRow.used_at.is_(None),
                RefreshTokenRow.expires_at > at,
                RefreshTokenRow.session_id.in_(live),
            )
            .values(used_at=at, child_salt=child_salt)
        )
        async with self._transaction() as connection:
            first = (await connection.execute(use)).rowcount == 1
            row = (await connection.execute(_used(token_hash, at, live))).one_or_none()
            if row is None:
                raise InvalidTokenError
            if first:
                ending = child.ending(row.ends_at).ending(row.created_at + longest)
                await _insert(connection, SessionId(row.session_id), ending)
        return Rotation(
            session_id=SessionId(row.session_id),
            account_id=AccountId(row.account_id),
            email=row.email,
            child_salt=row.child_salt,
            first_used_at=None if first else row.used_at,
        )

    async def revoke(self, session_id: SessionId, *, at: datetime) -> None:
        """See `Sessions.revoke`."""
        async with self._transaction() as connection:
            await connection.execute(_revoke(at).where(LoginSessionRow.id == session_id))

    async def revoke_one(
        self, session_id: SessionId, account_id: AccountId, *, at: datetime
    ) -> bool:
        """See `Sessions.revoke_one`."""
        revoke = _revoke(at).where(
            LoginSessionRow.id == session_id, LoginSessionRow.account_id == account_id
        )
        async with self._transaction() as connection:
            return (await connection.execute(revoke)).rowcount == 1

    async def revoke_others(self, account_id: AccountId, *, keep: SessionId, at: datetime) -> None:
        """See `Sessions.revoke_others`."""
        async with self._transaction() as connection:
            await connection.execute(revoke_sessions(account_id, keep=keep, at=at))

    async def live_sessions(
        self, account_id: AccountId, *, at: datetime, limit: int
    ) -> Sequence[ListedSession]:
        """See `Sessions.live_sessions`."""
        wanted = (
            select(
                LoginSessionRow.id,
                LoginSessionRow.created_at,
                func.max(RefreshTokenRow.used_at).label("refreshed_at"),
            )
            .join(RefreshTokenRow, RefreshTokenRow.session_id == LoginSessionRow.id)
            .where(LoginSessionRow.account_id == account_id, LoginSessionRow.revoked_at.is_(None))
            .group_by(LoginSessionRow.id, LoginSessionRow.created_at)
            .having(func.max(RefreshTokenRow.expires_at) > at)
            .order_by(LoginSessionRow.created_at.desc(), LoginSessionRow.id)
            .limit(limit)
        )
        async with self._transaction(writes=False, single=True) as connection:
            found = (await connection.execute(wanted)).all()
        return [ListedSession(SessionId(row.id), row.created_at, row.refreshed_at) for row in found]

    async def find(self, token_hash: str) -> SessionId | None:
        """See `Sessions.find`."""
        wanted = select(RefreshTokenRow.session_id).where(RefreshTokenRow.token_hash == token_hash)
        async with self._transaction(writes=False, single=True) as connection:
            found = (await connection.execute(wanted)).scalar_one_or_none()
        return None if found is None else SessionId(found)

    async def is_live(self, session_id: SessionId, account_id: AccountId) -> bool:
        """See `Sessions.is_live`."""
        live = _LIVE_SESSIONS.where(
            LoginSessionRow.id == session_id, LoginSessionRow.account_id == account_id
        )
        async with self._transaction(writes=False, single=True) as connection:
            found = await connection.execute(live)
            return found.first() is not None

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """See `Sessions.forget_expired`; deletes expired tokens, then sessions without a token."""
        token = RefreshTokenRow.__table__.c
        async with self._transaction() as connection:
            of_sessions = await rows.remove_oldest(
                connection,
                RefreshTokenRow,
                token.expires_at < before,
                oldest_first=token.expires_at,
                limit=limit,
                returning=token.session_id,
            )
            is_used = exists().where(RefreshTokenRow.session_id == LoginSessionRow.id)
            some = LoginSessionRow.id.in_(sorted(set(of_sessions)))
            await connection.execute(delete(LoginSessionRow).where(some, ~is_used))
        return len(of_sessions)

    def _transaction(
        self, *, writes: bool = True, single: bool = False
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction_raising(
            IdentityUnavailableError,
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=single,
        )


def revoke_sessions(account_id: AccountId, *, keep: SessionId | None, at: datetime) -> Update:
    """Return the statement that revokes all sessions of the account but *keep*."""
    revoke = _revoke(at).where(LoginSessionRow.account_id == account_id)
    return revoke if keep is None else revoke.where(LoginSessionRow.id != keep)


def _revoke(at: datetime) -> Update:
    return update(LoginSessionRow).where(LoginSessionRow.revoked_at.is_(None)).values(revoked_at=at)


def _used(token_hash: str, at: datetime, live: Select[Any]) -> Select[Any]:
    """Select session and account of a used refresh token, not expired, of a session in *live*."""
    return (
        select(
            RefreshTokenRow.session_id,
            LoginSessionRow.account_id,
            LoginSessionRow.ends_at,
            LoginSessionRow.created_at,
            AccountRow.__table__.c.email,
            RefreshTokenRow.child_salt,
            RefreshTokenRow.used_at,
        )
        .join(LoginSessionRow, LoginSessionRow.id == RefreshTokenRow.session_id)
        .join(AccountRow, AccountRow.id == LoginSessionRow.account_id)  # type: ignore[arg-type]
        .where(
            RefreshTokenRow.token_hash == token_hash,
            RefreshTokenRow.used_at.is_not(None),
            RefreshTokenRow.expires_at > at,
            RefreshTokenRow.session_id.in_(live),
        )
    )


async def _insert(connection: AsyncConnection, session_id: SessionId, token: RefreshToken) -> None:
    await connection.execute(
        insert(RefreshTokenRow).values(
            token_hash=token.token_hash, session_id=session_id, expires_at=token.expires_at
        )
    )
