"""The port `Sessions` with the database."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Select, delete, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    LoginSessionRow,
    RefreshTokenRow,
)
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.identity.errors import IdentityUnavailableError, InvalidTokenError
from healthingest_service.identity.model import (
    AccountId,
    RefreshToken,
    Rotation,
    Session,
    SessionId,
)
from healthingest_service.uploads.errors import LedgerUnavailableError

_SESSIONS_A_STATEMENT: Final = 1000
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

    async def begin(self, session: Session, first: RefreshToken) -> None:
        """See `Sessions.begin`."""
        async with self._transaction() as connection:
            await connection.execute(
                insert(LoginSessionRow).values(
                    id=session.id, account_id=session.account_id, created_at=session.created_at
                )
            )
            await _insert(connection, session.id, first)

    async def rotate(
        self, token_hash: str, *, child_salt: bytes, child: RefreshToken, at: datetime
    ) -> Rotation:
        """See `Sessions.rotate`."""
        use = (
            update(RefreshTokenRow)
            .where(
                RefreshTokenRow.token_hash == token_hash,
                RefreshTokenRow.used_at.is_(None),
                RefreshTokenRow.expires_at > at,
                RefreshTokenRow.session_id.in_(_LIVE_SESSIONS),
            )
            .values(used_at=at, child_salt=child_salt)
        )
        async with self._transaction() as connection:
            first = (await connection.execute(use)).rowcount == 1
            row = (await connection.execute(_used(token_hash, at))).one_or_none()
            if row is None:
                raise InvalidTokenError
            if first:
                await _insert(connection, SessionId(row.session_id), child)
        return Rotation(
            session_id=SessionId(row.session_id),
            account_id=AccountId(row.account_id),
            email=row.email,
            child_salt=row.child_salt,
            first_used_at=None if first else row.used_at,
        )

    async def revoke(self, session_id: SessionId, *, at: datetime) -> None:
        """See `Sessions.revoke`."""
        revoke = (
            update(LoginSessionRow)
            .where(LoginSessionRow.id == session_id, LoginSessionRow.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        async with self._transaction() as connection:
            await connection.execute(revoke)

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

    async def forget_expired(self, *, before: datetime) -> int:
        """See `Sessions.forget_expired`; deletes expired tokens, then sessions without a token."""
        expired = delete(RefreshTokenRow).where(RefreshTokenRow.expires_at < before)
        forgotten = 0
        async with self._transaction() as connection:
            gone = await connection.scalars(expired.returning(RefreshTokenRow.session_id))
            sessions = sorted(set(gone))
            for first in range(0, len(sessions), _SESSIONS_A_STATEMENT):
                some = LoginSessionRow.id.in_(sessions[first : first + _SESSIONS_A_STATEMENT])
                is_used = exists().where(RefreshTokenRow.session_id == LoginSessionRow.id)
                forgotten += (
                    await connection.execute(delete(LoginSessionRow).where(some, ~is_used))
                ).rowcount
        return forgotten

    @asynccontextmanager
    async def _transaction(
        self, *, writes: bool = True, single: bool = False
    ) -> AsyncIterator[AsyncConnection]:
        opening = transaction(
            self._engine, timeout_seconds=self._timeout_seconds, writes=writes, single=single
        )
        try:
            async with opening as connection:
                yield connection
        except LedgerUnavailableError as error:
            raise IdentityUnavailableError from error


def _used(token_hash: str, at: datetime) -> Select[Any]:
    """Select session and account of a used refresh token that has not expired."""
    return (
        select(
            RefreshTokenRow.session_id,
            LoginSessionRow.account_id,
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
            RefreshTokenRow.session_id.in_(_LIVE_SESSIONS),
        )
    )


async def _insert(connection: AsyncConnection, session_id: SessionId, token: RefreshToken) -> None:
    await connection.execute(
        insert(RefreshTokenRow).values(
            token_hash=token.token_hash, session_id=session_id, expires_at=token.expires_at
        )
    )
