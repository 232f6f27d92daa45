import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from healthingest_service.adapters.database.accounts import DatabaseAccounts
from healthingest_service.adapters.database.engine import open_engine
from healthingest_service.adapters.database.mails import DatabaseMailQueue, DatabaseMailTokens
from healthingest_service.adapters.password_pool import open_password_pool
from healthingest_service.identity.account_mails import AccountMails, MailDelivery
from healthingest_service.identity.errors import (
    MailDisabledError,
    MailFailure,
    MailRefusedError,
    MailUnavailableError,
)
from healthingest_service.identity.mail import (
    GIVE_UP_AFTER,
    Mail,
    MailPurpose,
    MailRules,
    mail_of,
    retry_delay,
)
from healthingest_service.identity.model import Account, NewAccount, Registration
from healthingest_service.identity.refresh_tokens import token_hash
from support.deadlines import HANG_SECONDS
from support.fakes import MemoryMailSender
from support.migrated import migrate_by_copy

EMAIL = "ada@clinic.example"
RESET = MailPurpose.RESET_PASSWORD
VERIFY = MailPurpose.VERIFY_EMAIL
RULES = MailRules(
    public_url="https://ingest.example/",
    reset_lifetime=timedelta(minutes=30),
    verification_lifetime=timedelta(days=1),
)


class Office:
    """Requests and delivery over SQLite, and a clock that the test sets."""

    def __init__(
        self, queue: DatabaseMailQueue, tokens: DatabaseMailTokens, accounts: DatabaseAccounts
    ) -> None:
        self.now = datetime(2026, 1, 5, 12, tzinfo=UTC)
        self.tokens = tokens
        self.accounts = accounts
        self.sender = MemoryMailSender()
        self.mails = AccountMails(
            queue=queue, registration=Registration.VERIFIED_ONLY, clock=lambda: self.now
        )
        self.delivery = MailDelivery(
            queue=queue,
            tokens=tokens,
            accounts=accounts,
            sender=self.sender,
            rules=RULES,
            clock=lambda: self.now,
            interval_seconds=60,
        )

    async def deliver(self) -> None:
        """Deliver until nothing can be tried at once."""
        while await self.delivery.deliver_next():
            pass

    def counts(self) -> dict[str, int]:
        """Return the counts that are not 0."""
        return {name: count for name, count in asdict(self.delivery.counts).items() if count}


@pytest.fixture(name="office")
async def _office(tmp_path: Path) -> AsyncIterator[Office]:
    async with _opened(tmp_path) as office:
        yield office


@asynccontextmanager
async def _opened(folder: Path) -> AsyncIterator[Office]:
    url = f"sqlite+aiosqlite:///{folder}/health.db"
    await migrate_by_copy(url)
    async with (
        open_engine(url, pool_size=2, timeout_seconds=5) as engine,
        open_password_pool(threads=1, queue_limit=4) as passwords,
    ):
        yield Office(
            DatabaseMailQueue(engine, timeout_seconds=5),
            DatabaseMailTokens(engine, timeout_seconds=5),
            DatabaseAccounts(engine, passwords, timeout_seconds=5),
        )


@pytest.fixture(name="account")
async def _account(office: Office) -> Account:
    return await office.accounts.add(NewAccount(EMAIL, "x" * 8))


def token_of(mail: Mail) -> str:
    """Return the token in the link of a mail."""
    (link,) = [line for line in mail.text.splitlines() if line.startswith("https://")]
    return link.partition("#")[2]


async def test_a_mail_has_a_token_for_its_purpose(office: Office, account: Account) -> None:
    """The token of the link is valid for the lifetime, counted from the sending."""
    await office.mails.request(RESET, EMAIL)
    office.now += timedelta(minutes=5)
    await office.deliver()
    (mail,) = office.sender.sent
    assert mail.to == EMAIL
    assert "https://ingest.example/auth/reset-password#" in mail.text
    hashed = token_hash(token_of(mail))
    end = office.now + RULES.reset_lifetime
    assert await office.tokens.find(hashed, RESET, at=end - timedelta(seconds=1)) == account
    assert await office.tokens.find(hashed, RESET, at=end) is None
    assert await office.tokens.find(hashed, VERIFY, at=office.now) is None


@pytest.mark.usefixtures("account")
async def test_only_accounts_get_mails(office: Office) -> None:
    """Unknown, inactive and verified addresses get none, and their requests are gone."""
    await office.accounts.add(NewAccount("grace@clinic.example", "x" * 8, is_verified=True))
    await office.mails.request(RESET, "nobody@clinic.example")
    await office.mails.request(VERIFY, "nobody@clinic.example")
    await office.mails.request(VERIFY, "grace@clinic.example")
    await office.accounts.deactivate(EMAIL)
    await office.mails.request(RESET, EMAIL)
    await office.deliver()
    assert office.sender.sent == []
    assert office.counts() == {"not_due": 4}
    office.now += timedelta(days=1)
    assert not await office.delivery.deliver_next()


@pytest.mark.usefixtures("account")
async def test_a_mail_waits_for_its_server(office: Office) -> None:
    """It is tried again later, and the token of the last attempt is the one that arrives."""
    office.sender.errors = [MailUnavailableError(MailFailure.UNREACHABLE)] * 2
    await office.mails.request(RESET, EMAIL)
    with capture_logs() as logs:
        for attempts in range(3):
            await office.deliver()
            office.now += retry_delay(attempts)
    assert [(one["event"], one["cause"], one["attempts"]) for one in logs] == [
        ("mail_failed", "unreachable", 1),
        ("mail_failed", "unreachable", 2),
    ]
    assert EMAIL not in str(logs)
    assert office.counts() == {"failed": 2, "sent": 1}
    (mail,) = office.sender.sent
    assert await office.tokens.find(token_hash(token_of(mail)), RESET, at=office.now)


@pytest.mark.usefixtures("account")
async def test_a_mail_is_given_up(office: Office) -> None:
    """After an hour, or at once if the server refuses the recipient for good."""
    await office.mails.request(RESET, EMAIL)
    office.now += GIVE_UP_AFTER + timedelta(seconds=1)
    await office.deliver()
    await office.mails.request(VERIFY, EMAIL)
    office.sender.errors = [MailRefusedError()]
    await office.deliver()
    office.now += timedelta(days=1)
    await office.deliver()
    assert office.sender.sent == []
    assert office.counts() == {"given_up": 1, "refused": 1}


async def test_one_failure_holds_up_no_other_mail(office: Office, account: Account) -> None:
    """The next round sends the mail of another account."""
    await office.accounts.add(NewAccount("grace@clinic.example", "x" * 8))
    office.sender.errors = [MailUnavailableError(MailFailure.REJECTED)]
    await office.mails.request(RESET, account.email)
    office.now += timedelta(seconds=1)
    await office.mails.request(RESET, "grace@clinic.example")
    for _ in range(2):
        await office.deliver()
    assert [one.to for one in office.sender.sent] == ["grace@clinic.example"]


async def test_a_new_account_gets_its_mail(office: Office, account: Account) -> None:
    """Only where it cannot log in without one, and not if an administrator has created it."""
    await office.mails.welcome(account)
    await office.deliver()
    (mail,) = office.sender.sent
    assert "https://ingest.example/auth/verify#" in mail.text
    verified = NewAccount("grace@clinic.example", "x" * 8, is_verified=True)
    await office.mails.welcome(await office.accounts.add(verified))
    await office.deliver()
    assert len(office.sender.sent) == 1


async def test_an_installation_without_mails_says_so(account: Account) -> None:
    """A request is refused; a registration is not."""
    mails = AccountMails(
        queue=None, registration=Registration.VERIFIED_ONLY, clock=lambda: datetime.now(UTC)
    )
    with pytest.raises(MailDisabledError):
        await mails.request(RESET, EMAIL)
    await mails.welcome(account)


async def test_runs_until_it_is_stopped(office: Office, account: Account) -> None:
    """A waiting delivery ends at once."""
    await office.mails.request(RESET, account.email)
    stop = asyncio.Event()
    running = asyncio.create_task(office.delivery.run(stop))
    async with asyncio.timeout(HANG_SECONDS):
        await office.sender.has_sent.wait()
        stop.set()
        await running


@pytest.mark.parametrize(
    ("minutes", "words"), [(30, "30 minutes"), (60, "60 minutes"), (90, "90 minutes")]
)
def test_says_how_long_a_link_works(minutes: int, words: str) -> None:
    """In whole hours if there are several, else in minutes."""
    rules = MailRules(
        public_url="https://x.example",
        reset_lifetime=timedelta(minutes=minutes),
        verification_lifetime=timedelta(days=1),
    )
    assert words in mail_of(RESET, to=EMAIL, token="t", rules=rules).text
    assert "24 hours" in mail_of(VERIFY, to=EMAIL, token="t", rules=rules).text
