"""The port `DeviceTokenStore` with the database."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, insert, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.account_tables import AccountRow, DeviceTokenRow
from healthingest_service.adapters.database.audit import audit_values
from healthingest_service.adapters.database.audit_tables import AuditEventRow
from healthingest_service.adapters.database.engine import is_postgresql, transaction_raising
from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.device_tokens import (
    KEPT,
    DeviceToken,
    DeviceTokenId,
    DeviceTokenPage,
)
from healthingest_service.identity.errors import (
    DeviceTokenNotFoundError,
    IdentityUnavailableError,
)
from healthingest_service.identity.model import AccountId, Binding, Scope

REVOKED_CHANNEL: Final = "healthingest_revoked"
"""The channel of PostgreSQL with the ids of revoked tokens."""
_TOKEN: Final = DeviceTokenRow.__table__.c
_ACTIVE: Final = AccountRow.__table__.c.is_active
_MAX_LISTED: Final = 1000


class DatabaseDeviceTokens:
    """Device tokens in the database. With SQLite other processes are not told of a revocation."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def add(
        self, token: DeviceToken, token_hash: str, event: AuditEvent | None = None
    ) -> None:
        """See `DeviceTokenStore.add`."""
        row = insert(DeviceTokenRow).values(token_values(token, token_hash))
        async with self._transaction() as connection:
            await connection.execute(row)
            if event is not None:
                await connection.execute(insert(AuditEventRow).values(audit_values(event)))

    async def list_of(self, account: AccountId, *, at: datetime) -> tuple[DeviceToken, ...]:
        """See `DeviceTokenStore.list_of`."""
        wanted = (
            select(DeviceTokenRow.__table__)
            .where(_TOKEN.account_id == account, *_is_valid(at))
            .order_by(_TOKEN.created_at.desc(), _TOKEN.id)
            .limit(_MAX_LISTED)
        )
        async with self._transaction(writes=False, single=True) as connection:
            return tuple(token_of(row) for row in await connection.execute(wanted))

    async def list_in_study(
        self,
        study: str,
        subject: str | None,
        *,
        at: datetime,
        limit: int,
        cursor: DeviceTokenId | None,
    ) -> DeviceTokenPage:
        """See `DeviceTokenStore.list_in_study`."""
        wanted = (
            select(DeviceTokenRow.__table__)
            .where(_TOKEN.study == study, *_is_valid(at))
            .order_by(_TOKEN.id)
            .limit(limit + 1)
        )
        if subject is not None:
            wanted = wanted.where(_TOKEN.subject == subject)
        if cursor is not None:
            wanted = wanted.where(_TOKEN.id > cursor)
        async with self._transaction(writes=False, study=study) as connection:
            found = [token_of(row) for row in await connection.execute(wanted)]
        return DeviceTokenPage(
            tuple(found[:limit]), found[limit - 1].id if len(found) > limit else None
        )

    async def find(self, token_hash: str) -> DeviceToken | None:
        """See `DeviceTokenStore.find`."""
        wanted = (
            select(DeviceTokenRow.__table__)
            .join(AccountRow.__table__, AccountRow.__table__.c.id == _TOKEN.account_id)
            .where(_TOKEN.token_hash == token_hash, _ACTIVE)
        )
        async with self._transaction(writes=False, single=True) as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return None if row is None else token_of(row)

    async def revoke(self, account: AccountId, token_id: DeviceTokenId, *, at: datetime) -> None:
        """See `DeviceTokenStore.revoke`."""
        await self._revoke(_TOKEN.account_id == account, token_id, at)

    async def revoke_in_study(self, study: str, token_id: DeviceTokenId, *, at: datetime) -> None:
        """See `DeviceTokenStore.revoke_in_study`."""
        await self._revoke(_TOKEN.study == study, token_id, at, study)

    async def _revoke(
        self,
        is_permitted: ColumnElement[bool],
        token_id: DeviceTokenId,
        at: datetime,
        study: str | None = None,
    ) -> None:
        is_wanted = (_TOKEN.id == token_id, is_permitted)
        revoke = (
            update(DeviceTokenRow)
            .where(*is_wanted, _TOKEN.revoked_at.is_(None))
            .values(revoked_at=at)
        )
        async with self._transaction(study=study) as connection:
            if (await connection.execute(revoke)).rowcount:
                await self._notify(connection, token_id)
            elif (await connection.execute(select(_TOKEN.id).where(*is_wanted))).first() is None:
                raise DeviceTokenNotFoundError

    async def note_use(self, token_id: DeviceTokenId, hour: datetime) -> None:
        """See `DeviceTokenStore.note_use`."""
        note = update(DeviceTokenRow).where(_TOKEN.id == token_id).values(last_used_at=hour)
        async with self._transaction(single=True) as connection:
            await connection.execute(note)

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """See `DeviceTokenStore.forget_expired`."""
        removed = 0
        async with self._transaction() as connection:
            for ended_at in (_TOKEN.expires_at, _TOKEN.revoked_at):  # each has an index
                gone = await rows.remove_oldest(
                    connection,
                    DeviceTokenRow,
                    ended_at < before - KEPT,
                    oldest_first=ended_at,
                    limit=limit - removed,
                )
                removed += len(gone)
        return removed

    async def _notify(self, connection: AsyncConnection, token_id: DeviceTokenId) -> None:
        if is_postgresql(self._engine):
            told = {"channel": REVOKED_CHANNEL, "id": str(token_id)}
            await connection.execute(text("SELECT pg_notify(:channel, :id)"), told)

    def _transaction(
        self, *, writes: bool = True, single: bool = False, study: str | None = None
    ) -> AbstractAsyncContextManager[AsyncConnection]:
        return transaction_raising(
            IdentityUnavailableError,
            self._engine,
            timeout_seconds=self._timeout_seconds,
            writes=writes,
            single=single,
            study=study,
        )


def _is_valid(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        _TOKEN.revoked_at.is_(None),
        or_(_TOKEN.expires_at.is_(None), _TOKEN.expires_at > at),
    )


def token_values(token: DeviceToken, token_hash: str) -> dict[str, object]:
    """Return the columns of a new token."""
    binding = token.binding
    return {
        "id": token.id,
        "token_hash": token_hash,
        "account_id": token.account_id,
        "name": token.name,
        "scopes": scopes_text(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "study": None if binding is None else binding.study,
        "subject": None if binding is None else binding.subject,
    }


def scopes_text(scopes: frozenset[Scope]) -> str:
    """Return *scopes* as the tables keep them."""
    return " ".join(sorted(scopes))


def scopes_of(text: str) -> frozenset[Scope]:
    """Return the scopes of a row."""
    granted = text.split()
    return frozenset(scope for scope in Scope if scope.value in granted)


def token_of(row: Row[Any]) -> DeviceToken:
    """Return the token of a row."""
    return DeviceToken(
        id=DeviceTokenId(row.id),
        account_id=AccountId(row.account_id),
        name=row.name,
        scopes=scopes_of(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        binding=None if row.study is None else Binding(row.study, row.subject),
    )
