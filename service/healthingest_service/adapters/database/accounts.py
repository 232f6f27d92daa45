"""The port `Accounts` with the database, with table and queries of fastapi-users."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from healthingest_service.adapters.database.account_tables import AccountRow
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.password_pool import PasswordPool
from healthingest_service.identity.errors import AccountExistsError, IdentityUnavailableError
from healthingest_service.identity.model import Account, AccountId, NewAccount
from healthingest_service.uploads.errors import LedgerUnavailableError

Users = SQLAlchemyUserDatabase[AccountRow, UUID]


class DatabaseAccounts:
    """Accounts in the database. No transaction is open while a password is hashed."""

    def __init__(
        self, engine: AsyncEngine, passwords: PasswordPool, *, timeout_seconds: float
    ) -> None:
        self._engine = engine
        self._passwords = passwords
        self._timeout_seconds = timeout_seconds

    async def add(self, new: NewAccount) -> Account:
        """See `Accounts.add`."""
        with self._passwords.slot() as passwords:
            hashed = await passwords.hash(new.password)
        columns = {
            "email": new.email,
            "hashed_password": hashed,
            "first_name": new.first_name,
            "last_name": new.last_name,
            "is_active": True,
            "is_superuser": False,
            "is_verified": new.is_verified,
        }
        try:
            async with self._users() as users:
                return _account(await users.create(columns))
        except IntegrityError:
            raise AccountExistsError from None

    async def authenticate(self, email: str | None, password: str) -> Account | None:
        """See `Accounts.authenticate`."""
        with self._passwords.slot() as passwords:
            row = None
            if email is not None:
                async with self._users(writes=False) as users:
                    row = await _by_email(users, email)
            if row is None:
                await passwords.hash(password)  # as long as `verify`, against timing attacks
                return None
            matches, better_hash = await passwords.verify(password, row.hashed_password)
        if not matches:
            return None
        if better_hash is not None:
            async with self._users() as users:
                current = await users.get(row.id)
                if current is not None and current.hashed_password == row.hashed_password:
                    await users.update(current, {"hashed_password": better_hash})
        return _account(row)

    async def deactivate(self, email: str) -> AccountId | None:
        """Deactivate the account with *email*; returns its id, or None if it does not exist."""
        async with self._users() as users:
            row = await _by_email(users, email)
            if row is None:
                return None
            await users.update(row, {"is_active": False})
            return AccountId(row.id)

    async def set_admin(self, email: str, *, is_admin: bool) -> AccountId | None:
        """Make an account an administrator, or not; returns its id, or None if it is missing."""
        async with self._users() as users:
            row = await _by_email(users, email)
            if row is None:
                return None
            await users.update(row, {"is_superuser": is_admin})
            return AccountId(row.id)

    async def find(self, email: str) -> AccountId | None:
        """Return the id of the account with *email*, or None if it does not exist."""
        async with self._users(writes=False) as users:
            row = await _by_email(users, email)
            return None if row is None else AccountId(row.id)

    async def get(self, account_id: AccountId) -> Account | None:
        """See `Accounts.get`."""
        async with self._users(writes=False) as users:
            row = await users.get(account_id)
        return None if row is None else _account(row)

    @asynccontextmanager
    async def _users(self, *, writes: bool = True) -> AsyncIterator[Users]:
        try:
            async with (
                transaction(
                    self._engine, timeout_seconds=self._timeout_seconds, writes=writes
                ) as connection,
                # fastapi-users commits this session only; the outer transaction stays open.
                AsyncSession(bind=connection, expire_on_commit=False) as session,
            ):
                yield SQLAlchemyUserDatabase(session, AccountRow)
        except LedgerUnavailableError as error:
            raise IdentityUnavailableError from error


async def _by_email(users: Users, email: str) -> AccountRow | None:
    """
    Return the account with *email* in its normal form, or None.

    The lookup of fastapi-users compares `lower(email)`, which cannot use the index.
    """
    found = await users.session.execute(
        select(AccountRow).where(AccountRow.__table__.c.email == email)
    )
    return found.scalar_one_or_none()


def _account(row: AccountRow) -> Account:
    return Account(
        id=AccountId(row.id),
        email=row.email,
        first_name=row.first_name,
        last_name=row.last_name,
        is_active=row.is_active,
        is_verified=row.is_verified,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
