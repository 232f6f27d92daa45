"""The port `Accounts` with the database, with table and queries of fastapi-users."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from fastapi_users_db_sqlalchemy import SQLAlchemyUserDatabase
from sqlalchemy import Row, Update, delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from healthingest_service.adapters.database.account_tables import (
    AccountRow,
    DeviceTokenRow,
    LoginSessionRow,
    MailRequestRow,
    MailTokenRow,
)
from healthingest_service.adapters.database.engine import transaction
from healthingest_service.adapters.database.sessions import revoke_sessions
from healthingest_service.adapters.password_pool import PasswordPool
from healthingest_service.identity.errors import (
    AccountExistsError,
    IdentityUnavailableError,
    LastAdministratorError,
)
from healthingest_service.identity.mail import MailPurpose
from healthingest_service.identity.model import Account, AccountId, NewAccount, NewPassword
from healthingest_service.uploads.errors import LedgerUnavailableError

EXTERNAL_DOMAIN: Final = "oidc.invalid"
DEVICE_DOMAIN: Final = "devices.invalid"
NO_PASSWORD: Final = "!"  # noqa: S105 - no hash, so that no password matches
Users = SQLAlchemyUserDatabase[AccountRow, UUID]


class DatabaseAccountsByEmail:
    """Accounts in the database, for a process that checks no passwords."""

    def __init__(self, engine: AsyncEngine, *, timeout_seconds: float) -> None:
        self._engine = engine
        self._timeout_seconds = timeout_seconds

    async def by_email(self, email: str) -> Account | None:
        """See `AccountsByEmail.by_email`."""
        async with self._users(writes=False) as users:
            row = await _by_email(users, email)
        return None if row is None else account_of(row)

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


class DatabaseAccounts(DatabaseAccountsByEmail):
    """Accounts in the database. No transaction is open while a password is hashed."""

    def __init__(
        self, engine: AsyncEngine, passwords: PasswordPool, *, timeout_seconds: float
    ) -> None:
        super().__init__(engine, timeout_seconds=timeout_seconds)
        self._passwords = passwords

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
                return account_of(await users.create(columns))
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
        return account_of(row)

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

    async def get(self, account_id: AccountId) -> Account | None:
        """See `Accounts.get`."""
        async with self._users(writes=False) as users:
            row = await users.get(account_id)
        return None if row is None else account_of(row)

    async def admit_external(self, account_id: AccountId) -> bool:
        """See `Accounts.admit_external`."""
        account = await self.get(account_id)
        if account is None:
            with suppress(IntegrityError):  # another process has just created it
                async with self._users() as users:
                    await users.create(external_account(account_id, EXTERNAL_DOMAIN))
            account = await self.get(account_id)
        return account is not None and account.is_active

    async def rename(
        self, account_id: AccountId, names: Mapping[str, str | None]
    ) -> Account | None:
        """See `Accounts.rename`."""
        async with self._users() as users:
            row = await users.get(account_id)
            return None if row is None else account_of(await users.update(row, dict(names)))

    async def set_password(self, new: NewPassword, *, at: datetime) -> bool:
        """See `Accounts.set_password`."""
        with self._passwords.slot() as passwords:
            hashed = await passwords.hash(new.password)
        account = AccountRow.__table__.c
        change = (
            update(AccountRow)
            .where(
                account.id == new.account_id,
                account.password_version == new.password_version,
                account.is_active,
            )
            .values(
                hashed_password=hashed,
                password_version=new.password_version + 1,
                updated_at=at,
                **({"is_verified": True} if new.proves_email else {}),
            )
        )
        async with self._users() as users:
            # The account first: a login that holds its row has stored its session by then.
            if (await users.session.execute(change)).rowcount != 1:  # type: ignore[attr-defined]
                return False
            await users.session.execute(revoke_sessions(new.account_id, keep=new.keep, at=at))
            await users.session.execute(
                delete(MailTokenRow).where(
                    MailTokenRow.account_id == new.account_id,
                    MailTokenRow.purpose == MailPurpose.RESET_PASSWORD.value,
                )
            )
            await users.session.commit()
        return True

    async def close(self, account_id: AccountId, *, password_version: int, at: datetime) -> bool:
        """See `Accounts.close`."""
        async with self._users() as users:
            row = await users.get(account_id)
            if row is None:
                return False
            email = row.email
            if row.is_superuser:
                await _keep_an_administrator(users, account_id)
            close = _closing(account_id, at).where(
                AccountRow.__table__.c.password_version == password_version
            )
            # The account first: a login that holds its row has stored its session by then.
            if (await users.session.execute(close)).rowcount != 1:  # type: ignore[attr-defined]
                return False
            for gone in (
                delete(LoginSessionRow).where(LoginSessionRow.account_id == account_id),
                delete(DeviceTokenRow).where(DeviceTokenRow.account_id == account_id),
                delete(MailTokenRow).where(MailTokenRow.account_id == account_id),
                delete(MailRequestRow).where(MailRequestRow.email == email),
            ):
                await users.session.execute(gone)
            await users.session.commit()
        return True


async def _keep_an_administrator(users: Users, account_id: AccountId) -> None:
    """
    Lock all active administrators, so that the last two cannot close at the same time.

    Raises:
        LastAdministratorError: there is no other one than *account_id*.
    """
    account = AccountRow.__table__.c
    active = (
        select(account.id)
        .where(account.is_superuser, account.is_active)
        .order_by(account.id)
        .with_for_update()
    )
    if set(await users.session.scalars(active)) <= {account_id}:
        raise LastAdministratorError


def _closing(account_id: AccountId, at: datetime) -> Update:
    """
    Return the statement that empties the personal columns of an active account.

    The address must be unique; the domain `closed.invalid` belongs to nobody (RFC 2606), and
    registration refuses it.
    """
    account = AccountRow.__table__.c
    return (
        update(AccountRow)
        .where(account.id == account_id, account.is_active)
        .values(
            email=f"{account_id}@closed.invalid",
            first_name=None,
            last_name=None,
            hashed_password="",
            is_active=False,
            is_verified=False,
            is_superuser=False,
            password_version=account.password_version + 1,
            closed_at=at,
            updated_at=at,
        )
    )


async def _by_email(users: Users, email: str) -> AccountRow | None:
    """
    Return the account with *email* in its normal form, or None.

    The lookup of fastapi-users compares `lower(email)`, which cannot use the index.
    """
    found = await users.session.execute(
        select(AccountRow).where(AccountRow.__table__.c.email == email)
    )
    return found.scalar_one_or_none()


def external_account(account_id: AccountId, domain: str) -> dict[str, object]:
    """
    Return the columns of a new account that nobody logs in to with a password.

    The address is unique, and no mailbox: *domain* ends in `.invalid` (RFC 2606, 2).
    """
    return {
        "id": account_id,
        "email": f"{account_id}@{domain}",
        "hashed_password": NO_PASSWORD,
        "is_active": True,
        "is_superuser": False,
        "is_verified": False,
    }


def account_of(row: AccountRow | Row[Any]) -> Account:
    """Return the account of a row."""
    return Account(
        id=AccountId(row.id),
        email=row.email,
        first_name=row.first_name,
        last_name=row.last_name,
        is_active=row.is_active,
        is_verified=row.is_verified,
        created_at=row.created_at,
        updated_at=row.updated_at,
        password_version=row.password_version,
    )
