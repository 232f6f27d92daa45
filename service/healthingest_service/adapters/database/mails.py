"""The ports `MailQueue` and `MailTokens` with the database."""

from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Final

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from healthingest_service.adapters.database import rows
from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    MailRequestRow,
    MailTokenRow,
)
from healthingest_service.adapters.database.accounts import account_of
from healthingest_service.adapters.database.engine import transaction_raising
from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.mail import MailPurpose, MailRequest, retry_delay
from healthingest_service.identity.mail_ports import MailQueue, MailTokens
from healthingest_service.identity.model import Account, AccountId

MAX_WAITING: Final = 10_000
"""Requested mails that wait at once; addresses without an account leave within seconds."""


class DatabaseMailQueue(MailQueue):
    """Requested mails, one row each."""

    def __init__(
        self, engine: AsyncEngine, *, timeout_seconds: float, max_waiting: int = MAX_WAITING
    ) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds
        self._max_waiting = max_waiting

    @override
    async def put(self, purpose: MailPurpose, email: str, *, at: datetime) -> None:
        some = (
            select(MailRequestRow.due_at)
            .order_by(MailRequestRow.due_at)  # so that the index is read
            .limit(self._max_waiting)
            .subquery()
        )
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            waiting = await connection.scalar(select(func.count()).select_from(some))
            if waiting is None or waiting >= self._max_waiting:
                raise IdentityUnavailableError
            await rows.is_inserted(
                connection,
                MailRequestRow,
                {
                    "email": email,
                    "purpose": purpose.value,
                    "created_at": at,
                    "due_at": at,
                    "attempts": 0,
                },
            )

    @override
    async def take(self, *, at: datetime) -> MailRequest | None:
        due = (
            select(MailRequestRow)
            .where(MailRequestRow.due_at <= at)
            .order_by(MailRequestRow.due_at)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            row = (await connection.execute(due)).one_or_none()
            if row is None:
                return None
            await connection.execute(
                update(MailRequestRow)
                .where(MailRequestRow.email == row.email, MailRequestRow.purpose == row.purpose)
                .values(due_at=at + retry_delay(row.attempts), attempts=row.attempts + 1)
            )
        return MailRequest(MailPurpose(row.purpose), row.email, row.created_at, row.attempts + 1)

    @override
    async def remove(self, request: MailRequest) -> None:
        gone = delete(MailRequestRow).where(
            MailRequestRow.email == request.email,
            MailRequestRow.purpose == request.purpose.value,
            MailRequestRow.created_at == request.created_at,
            MailRequestRow.attempts == request.attempts,
        )
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            await connection.execute(gone)


class DatabaseMailTokens(MailTokens):
    """Tokens of mails. The use of a token is the removal of its row."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    @override
    async def add(
        self, token_hash: str, account_id: AccountId, purpose: MailPurpose, *, expires_at: datetime
    ) -> None:
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            await connection.execute(
                insert(MailTokenRow).values(
                    token_hash=token_hash,
                    account_id=account_id,
                    purpose=purpose.value,
                    expires_at=expires_at,
                )
            )

    @override
    async def find(self, token_hash: str, purpose: MailPurpose, *, at: datetime) -> Account | None:
        account = AccountRow.__table__.c
        wanted = (
            select(AccountRow)
            .join(MailTokenRow, MailTokenRow.account_id == account.id)
            .where(
                MailTokenRow.token_hash == token_hash,
                MailTokenRow.purpose == purpose.value,
                MailTokenRow.expires_at > at,
                account.is_active,
            )
        )
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            row = (await connection.execute(wanted)).one_or_none()
        return None if row is None else account_of(row)

    @override
    async def verify_email(self, token_hash: str, *, at: datetime) -> bool:
        account = AccountRow.__table__.c
        verify = MailPurpose.VERIFY_EMAIL.value
        used = (
            delete(MailTokenRow)
            .where(
                MailTokenRow.token_hash == token_hash,
                MailTokenRow.purpose == verify,
                MailTokenRow.expires_at > at,
            )
            .returning(MailTokenRow.account_id)
        )
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            account_id = await connection.scalar(used)
            if account_id is None:
                return False
            await connection.execute(
                delete(MailTokenRow).where(
                    MailTokenRow.account_id == account_id, MailTokenRow.purpose == verify
                )
            )
            verified = await connection.execute(
                update(AccountRow)
                .where(account.id == account_id, account.is_active)
                .values(is_verified=True, updated_at=at)
            )
            return verified.rowcount == 1

    @override
    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        expires_at = MailTokenRow.__table__.c.expires_at
        async with _transaction(self._engine, self._timeout_seconds) as connection:
            gone = await rows.remove_oldest(
                connection, MailTokenRow, expires_at < before, oldest_first=expires_at, limit=limit
            )
        return len(gone)


def _transaction(
    engine: AsyncEngine, timeout_seconds: float
) -> AbstractAsyncContextManager[AsyncConnection]:
    return transaction_raising(IdentityUnavailableError, engine, timeout_seconds=timeout_seconds)
