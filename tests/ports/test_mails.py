"""The ports `MailQueue` and `MailTokens`, on SQLite and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.mails import DatabaseMailQueue, DatabaseMailTokens
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.identity.errors import IdentityUnavailableError
from healthingest_service.identity.mail import MailPurpose, MailRequest, retry_delay
from healthingest_service.identity.model import AccountId, NewAccount, NewPassword

NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
EMAIL = "ada@clinic.example"
RESET = MailPurpose.RESET_PASSWORD
VERIFY = MailPurpose.VERIFY_EMAIL


@pytest.fixture(name="queue")
def _queue(engine: AsyncEngine) -> DatabaseMailQueue:
    return DatabaseMailQueue(engine, timeout_seconds=5, max_waiting=3)


@pytest.fixture(name="tokens")
def _tokens(engine: AsyncEngine) -> DatabaseMailTokens:
    return DatabaseMailTokens(engine, timeout_seconds=5)


@pytest.fixture(name="accounts")
async def _accounts(engine: AsyncEngine) -> AsyncIterator[DatabaseAccounts]:
    async with open_password_pool(threads=1, queue_limit=2) as passwords:
        yield DatabaseAccounts(engine, passwords, timeout_seconds=5)


class TestMailQueue:
    """What both databases do."""

    async def test_keeps_one_request_for_a_purpose_and_an_address(
        self, queue: DatabaseMailQueue
    ) -> None:
        """A repeat changes nothing; the other purpose is another request."""
        for _ in range(2):
            await queue.put(RESET, EMAIL, at=NOW)
        await queue.put(VERIFY, EMAIL, at=NOW + timedelta(seconds=1))
        later = NOW + timedelta(seconds=2)
        taken = [await queue.take(at=later) for _ in range(3)]
        assert taken == [
            MailRequest(RESET, EMAIL, NOW, 1),
            MailRequest(VERIFY, EMAIL, NOW + timedelta(seconds=1), 1),
            None,
        ]

    async def test_a_taken_request_is_due_again_later(self, queue: DatabaseMailQueue) -> None:
        """Until it is removed; each attempt is counted."""
        await queue.put(RESET, EMAIL, at=NOW)
        assert await queue.take(at=NOW) == MailRequest(RESET, EMAIL, NOW, 1)
        soon = NOW + retry_delay(0)
        assert await queue.take(at=soon - timedelta(seconds=1)) is None
        again = await queue.take(at=soon)
        assert again == MailRequest(RESET, EMAIL, NOW, 2)
        await queue.remove(MailRequest(RESET, EMAIL, NOW, 1))  # of a process that was too slow
        third = await queue.take(at=soon + retry_delay(1))
        assert third == MailRequest(RESET, EMAIL, NOW, 3)
        for _ in range(2):
            await queue.remove(third)
        assert await queue.take(at=NOW + timedelta(days=1)) is None

    async def test_one_process_gets_a_request(self, queue: DatabaseMailQueue) -> None:
        """Of four concurrent calls one gets it."""
        await queue.put(RESET, EMAIL, at=NOW)
        taken = await asyncio.gather(*(queue.take(at=NOW) for _ in range(4)))
        assert sum(one is not None for one in taken) == 1

    async def test_has_a_limit(self, queue: DatabaseMailQueue) -> None:
        """Above it no request is added, so a flood of addresses fills no disk."""
        for number in range(3):
            await queue.put(RESET, f"{number}@clinic.example", at=NOW)
        with pytest.raises(IdentityUnavailableError):
            await queue.put(RESET, EMAIL, at=NOW)

    async def test_asks_no_account(self, queue: DatabaseMailQueue, engine: AsyncEngine) -> None:
        """A request reads and writes its own table only, so it takes the same steps for all."""
        asked = list[str]()
        event.listen(
            engine.sync_engine, "before_cursor_execute", lambda *given: asked.append(given[2])
        )
        await queue.put(RESET, EMAIL, at=NOW)
        assert [one for one in asked if "account" in one] == []
        assert any("mail_request" in one for one in asked)


class TestMailTokens:
    """What both databases do."""

    async def test_finds_the_account_of_a_token(
        self, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        """For its purpose and until it expires; not for an inactive account."""
        account = await accounts.add(NewAccount(EMAIL, "x" * 8))
        expires_at = NOW + timedelta(minutes=30)
        await tokens.add("hash", account.id, RESET, expires_at=expires_at)
        assert await tokens.find("hash", RESET, at=NOW) == account
        assert await tokens.find("hash", VERIFY, at=NOW) is None
        assert await tokens.find("hash", RESET, at=expires_at) is None
        assert await tokens.find("other", RESET, at=NOW) is None
        await accounts.deactivate(EMAIL)
        assert await tokens.find("hash", RESET, at=NOW) is None

    async def test_a_new_password_uses_up_the_tokens_for_it(
        self, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        """All tokens to reset the password are gone, those of others are not."""
        account = await accounts.add(NewAccount(EMAIL, "x" * 8))
        other = await accounts.add(NewAccount("grace@clinic.example", "x" * 8))
        later = NOW + timedelta(hours=1)
        for name, owner in (("a", account), ("b", account), ("c", other)):
            await tokens.add(name, owner.id, RESET, expires_at=later)
        new = NewPassword(account_id=account.id, password="y" * 8, password_version=0)
        assert await accounts.set_password(new, at=NOW)
        found = [await tokens.find(name, RESET, at=NOW) for name in ("a", "b", "c")]
        assert found == [None, None, other]

    async def test_verifies_an_address_once(
        self, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        """Of four concurrent uses one succeeds; afterwards the account is verified."""
        account = await accounts.add(NewAccount(EMAIL, "x" * 8))
        later = NOW + timedelta(hours=1)
        await tokens.add("reset", account.id, RESET, expires_at=later)
        assert not await tokens.verify_email("reset", at=NOW)
        await tokens.add("hash", account.id, VERIFY, expires_at=later)
        assert not await tokens.verify_email("hash", at=later)
        used = await asyncio.gather(*(tokens.verify_email("hash", at=NOW) for _ in range(4)))
        assert sorted(used) == [False, False, False, True]
        found = await accounts.get(account.id)
        assert found is not None
        assert found.is_verified

    async def test_verifies_no_inactive_account(
        self, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        """Its token is refused."""
        account = await accounts.add(NewAccount(EMAIL, "x" * 8))
        await tokens.add("hash", account.id, VERIFY, expires_at=NOW + timedelta(hours=1))
        await accounts.deactivate(EMAIL)
        assert not await tokens.verify_email("hash", at=NOW)

    async def test_forgets_expired_tokens(
        self, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        """Valid ones stay."""
        account = await accounts.add(NewAccount(EMAIL, "x" * 8))
        for name, hours in (("old", 1), ("new", 3)):
            await tokens.add(name, account.id, RESET, expires_at=NOW + timedelta(hours=hours))
        assert await tokens.forget_expired(before=NOW + timedelta(hours=2), limit=9) == 1
        assert await tokens.find("new", RESET, at=NOW) == account


async def test_a_dead_database_is_unavailable() -> None:
    """A database that does not answer is reported as unavailable within the deadline."""
    async with open_engine(
        "postgresql://u:p@127.0.0.1:9/none", pool_size=1, timeout_seconds=1
    ) as engine:
        queue = DatabaseMailQueue(engine, timeout_seconds=1)
        tokens = DatabaseMailTokens(engine, timeout_seconds=1)
        for call in (
            queue.put(RESET, EMAIL, at=NOW),
            queue.take(at=NOW),
            queue.remove(MailRequest(RESET, EMAIL, NOW, 1)),
            tokens.add("hash", AccountId(uuid4()), RESET, expires_at=NOW),
            tokens.find("hash", RESET, at=NOW),
            tokens.verify_email("hash", at=NOW),
            tokens.forget_expired(before=NOW, limit=9),
        ):
            with pytest.raises(IdentityUnavailableError):
                await call
