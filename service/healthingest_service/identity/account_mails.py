"""
Requests for mails, and their delivery.

A request is stored without looking at the accounts, so neither its answer nor its time tells
whether an account exists (docs/decisions/0067-mails-are-requested-first.md).
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import structlog

from healthingest_service.identity.errors import (
    IdentityUnavailableError,
    MailDisabledError,
    MailRefusedError,
    MailUnavailableError,
)
from healthingest_service.identity.mail import (
    GIVE_UP_AFTER,
    MailPurpose,
    MailRequest,
    MailRules,
    is_due_to,
    mail_of,
)
from healthingest_service.identity.mail_ports import MailQueue, MailSender, MailTokens
from healthingest_service.identity.model import Account, Registration
from healthingest_service.identity.ports import AccountsByEmail
from healthingest_service.identity.refresh_tokens import new_token, token_hash

MAIL_FAILED: Final = "mail_failed"
MAIL_GIVEN_UP: Final = "mail_given_up"
MAIL_REFUSED: Final = "mail_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountMails:
    """Requests mails. `queue` is None if the installation sends no mails."""

    queue: MailQueue | None
    registration: Registration
    clock: Callable[[], datetime]

    async def request(self, purpose: MailPurpose, email: str) -> None:
        """
        Request a mail to *email*, in its normal form. Calling twice is safe.

        Raises:
            MailDisabledError: the installation sends no mails.
            IdentityUnavailableError: no clear answer, or too many mails are waiting.
        """
        if self.queue is None:
            raise MailDisabledError
        await self.queue.put(purpose, email, at=self.clock())

    async def welcome(self, account: Account) -> None:
        """
        Request the first verification mail of a new account, if it cannot log in without one.

        If that fails, the owner can request it, because the account exists.
        """
        if self.registration is Registration.VERIFIED_ONLY and not account.is_verified:
            with suppress(MailDisabledError, IdentityUnavailableError):
                await self.request(MailPurpose.VERIFY_EMAIL, account.email)


@dataclass(slots=True)
class MailCounts:
    """Counts of requested mails by outcome."""

    sent: int = 0
    not_due: int = 0
    """No active account has the address, or it is verified already."""
    failed: int = 0
    """Attempts that will be repeated."""
    refused: int = 0
    given_up: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MailDelivery:
    """Sends the requested mails, each until the mail server has it or for one hour."""

    queue: MailQueue
    tokens: MailTokens
    accounts: AccountsByEmail
    sender: MailSender
    rules: MailRules
    clock: Callable[[], datetime]
    interval_seconds: float
    counts: MailCounts = field(default_factory=MailCounts)

    async def run(self, stop: asyncio.Event) -> None:
        """Send due mails until *stop* is set."""
        while not stop.is_set():
            goes_on = False
            with suppress(IdentityUnavailableError):  # the request is due again later
                goes_on = await self.deliver_next()
            if not goes_on:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.interval_seconds):
                        await stop.wait()

    async def deliver_next(self) -> bool:
        """
        Send the next due mail; returns whether another one can be tried at once.

        Raises:
            IdentityUnavailableError: the request may be sent again.
        """
        now = self.clock()
        request = await self.queue.take(at=now)
        if request is None:
            return False
        account = await self.accounts.by_email(request.email)
        if account is None or not is_due_to(account, request.purpose):
            self.counts.not_due += 1
        elif now - request.created_at > GIVE_UP_AFTER:
            self.counts.given_up += 1
            self._log(MAIL_GIVEN_UP, request, account)
        elif not await self._is_settled(request, account, now):
            return False
        await self.queue.remove(request)
        return True

    async def _is_settled(self, request: MailRequest, account: Account, now: datetime) -> bool:
        """Send the mail; returns False if it has to be tried again."""
        token = new_token()
        expires_at = now + self.rules.lifetime(request.purpose)
        await self.tokens.add(token_hash(token), account.id, request.purpose, expires_at=expires_at)
        mail = mail_of(request.purpose, to=account.email, token=token, rules=self.rules)
        try:
            await self.sender.send(mail)
        except MailUnavailableError as error:
            self.counts.failed += 1
            self._log(MAIL_FAILED, request, account, cause=error.cause)
            return False
        except MailRefusedError:
            self.counts.refused += 1
            self._log(MAIL_REFUSED, request, account)
            return True
        self.counts.sent += 1
        return True

    def _log(self, event: str, request: MailRequest, account: Account, **fields: str) -> None:
        structlog.get_logger("healthingest.mail").warning(
            event,
            purpose=request.purpose.value,
            account_id=str(account.id),
            attempts=request.attempts,
            **fields,
        )
