"""The port `DeviceTokenStore`, on SQLite and on PostgreSQL, and revocations between processes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.device_tokens import (
    REVOKED_CHANNEL,
    DatabaseDeviceTokens,
)
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.notifications import CONNECTED, listen
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.identity.device_tokens import KEPT, DeviceToken, DeviceTokenId
from healthingest_service.identity.errors import DeviceTokenNotFoundError
from healthingest_service.identity.model import Account, AccountId, NewAccount, Scope
from support.deadlines import HANG_SECONDS
from support.migrated import migrate_by_copy

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
EMAIL = "ada@clinic.example"


@pytest.fixture(name="accounts")
async def _accounts(engine: AsyncEngine) -> AsyncIterator[DatabaseAccounts]:
    async with open_password_pool(threads=1, queue_limit=1) as passwords:
        yield DatabaseAccounts(engine, passwords, timeout_seconds=5)


@pytest.fixture(name="account")
async def _account(accounts: DatabaseAccounts) -> Account:
    return await accounts.add(NewAccount(EMAIL, "x" * 8))


@pytest.fixture(name="tokens")
def _tokens(engine: AsyncEngine) -> DatabaseDeviceTokens:
    return DatabaseDeviceTokens(engine, timeout_seconds=5)


def token_of(
    account: AccountId, *, name: str = "watch", created_at: datetime = NOON
) -> DeviceToken:
    """A new token."""
    return DeviceToken(
        id=DeviceTokenId(uuid4()),
        account_id=account,
        name=name,
        scopes=frozenset({Scope.UPLOAD_WRITE, Scope.UPLOAD_READ}),
        created_at=created_at,
        expires_at=created_at + 24 * HOUR,
    )


class TestDeviceTokens:
    """What both databases do."""

    async def test_keeps_a_token(self, tokens: DatabaseDeviceTokens, account: Account) -> None:
        """It is found by its hash with all its fields, and listed, the newest first."""
        first = token_of(account.id)
        second = token_of(account.id, name="phone", created_at=NOON + HOUR)
        await tokens.add(first, "1")
        await tokens.add(second, "2")
        assert await tokens.find("1") == first
        assert await tokens.find("3") is None
        assert await tokens.list_of(account.id, at=NOON) == (second, first)
        assert await tokens.list_of(AccountId(UUID(int=1)), at=NOON) == ()

    async def test_an_ended_token_is_not_listed(
        self, tokens: DatabaseDeviceTokens, account: Account
    ) -> None:
        """It is still found, so that the caller can tell that it ended."""
        expired = token_of(account.id, created_at=NOON - 48 * HOUR)
        revoked = token_of(account.id)
        await tokens.add(expired, "1")
        await tokens.add(revoked, "2")
        await tokens.revoke(account.id, revoked.id, at=NOON)
        assert await tokens.list_of(account.id, at=NOON) == ()
        assert await tokens.find("1") == expired
        assert await tokens.find("2") == replace(revoked, revoked_at=NOON)

    async def test_a_revocation_can_be_repeated(
        self, tokens: DatabaseDeviceTokens, account: Account
    ) -> None:
        """The first time is kept; a foreign and an unknown token are answered alike."""
        token = token_of(account.id)
        await tokens.add(token, "1")
        for hours in (0, 1):
            await tokens.revoke(account.id, token.id, at=NOON + hours * HOUR)
        assert await tokens.find("1") == replace(token, revoked_at=NOON)
        for owner, wanted in (
            (AccountId(UUID(int=1)), token.id),
            (account.id, DeviceTokenId(UUID(int=1))),
        ):
            with pytest.raises(DeviceTokenNotFoundError):
                await tokens.revoke(owner, wanted, at=NOON)

    async def test_an_inactive_account_has_no_tokens(
        self, tokens: DatabaseDeviceTokens, accounts: DatabaseAccounts, account: Account
    ) -> None:
        """They end with the account."""
        await tokens.add(token_of(account.id), "1")
        await accounts.deactivate(EMAIL)
        assert await tokens.find("1") is None

    async def test_a_closed_account_has_none(
        self, tokens: DatabaseDeviceTokens, accounts: DatabaseAccounts, account: Account
    ) -> None:
        """Their rows are gone, because the owner chose their names."""
        await tokens.add(token_of(account.id), "1")
        assert await accounts.close(account.id, password_version=0, at=NOON)
        assert await tokens.find("1") is None
        assert await tokens.list_of(account.id, at=NOON) == ()

    async def test_notes_the_last_use(self, tokens: DatabaseDeviceTokens, account: Account) -> None:
        """By the hour."""
        token = token_of(account.id)
        await tokens.add(token, "1")
        await tokens.note_use(token.id, NOON + HOUR)
        assert await tokens.find("1") == replace(token, last_used_at=NOON + HOUR)

    async def test_forgets_ended_tokens(
        self, tokens: DatabaseDeviceTokens, account: Account
    ) -> None:
        """Ninety days after they expired or were revoked; all others stay."""
        old = token_of(account.id, created_at=NOON - 48 * HOUR)
        revoked = token_of(account.id)
        valid = token_of(account.id)
        for number, token in enumerate((old, revoked, valid)):
            await tokens.add(token, str(number))
        await tokens.revoke(account.id, revoked.id, at=NOON)
        assert await tokens.forget_expired(before=NOON, limit=9) == 0
        assert await tokens.forget_expired(before=NOON + KEPT, limit=9) == 1
        assert await tokens.forget_expired(before=NOON + KEPT + HOUR, limit=9) == 1
        assert await tokens.find("2") == valid

    async def test_forgets_up_to_a_limit(
        self, tokens: DatabaseDeviceTokens, account: Account
    ) -> None:
        """Expired and revoked ones together."""
        for number in range(2):
            await tokens.add(token_of(account.id, created_at=NOON - 48 * HOUR), f"old{number}")
            revoked = token_of(account.id)
            await tokens.add(revoked, f"revoked{number}")
            await tokens.revoke(account.id, revoked.id, at=NOON)
        before = NOON + KEPT + HOUR
        found = [await tokens.forget_expired(before=before, limit=3) for _ in range(3)]
        assert found == [3, 1, 0]


async def test_other_processes_hear_of_a_revocation(postgres_url: str) -> None:
    """The payload is the id; the first call after connecting says that some may be missed."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    stop = asyncio.Event()
    await migrate_by_copy(postgres_url)
    async with (
        open_engine(postgres_url, pool_size=2, timeout_seconds=5) as engine,
        open_password_pool(threads=1, queue_limit=1) as passwords,
        asyncio.timeout(HANG_SECONDS),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(
            listen(postgres_url, REVOKED_CHANNEL, heard.put_nowait, stop, timeout_seconds=5)
        )
        assert await heard.get() == CONNECTED
        account = await DatabaseAccounts(engine, passwords, timeout_seconds=5).add(
            NewAccount(EMAIL, "x" * 8)
        )
        tokens = DatabaseDeviceTokens(engine, timeout_seconds=5)
        token = token_of(account.id)
        await tokens.add(token, "1")
        await tokens.revoke(account.id, token.id, at=NOON)
        assert await heard.get() == str(token.id)
        await tokens.revoke(account.id, token.id, at=NOON)
        stop.set()
    assert heard.empty()
