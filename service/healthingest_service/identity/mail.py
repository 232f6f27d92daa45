"""Mails to the owners of accounts: their purposes, texts and retries. Pure."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from healthingest_service.identity.model import Account

GIVE_UP_AFTER: Final = timedelta(hours=1)
"""Age of a requested mail at which it is not sent any more; its requester has given up, too."""
_FIRST_RETRY: Final = timedelta(minutes=1)
_LAST_RETRY: Final = timedelta(minutes=10)


class MailPurpose(StrEnum):
    """The reason for a mail, which its token is bound to."""

    RESET_PASSWORD = "reset-password"  # noqa: S105 - a purpose
    VERIFY_EMAIL = "verify-email"


@dataclass(frozen=True, slots=True)
class MailRequest:
    """A requested mail; `attempts` counts the attempts to send it, the running one included."""

    purpose: MailPurpose
    email: str = field(repr=False)
    created_at: datetime
    attempts: int


@dataclass(frozen=True, slots=True)
class Mail:
    """A mail in plain text. The text contains a token."""

    to: str = field(repr=False)
    subject: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class MailRules:
    """The base of links in mails, and how long their tokens are valid."""

    public_url: str
    reset_lifetime: timedelta
    verification_lifetime: timedelta

    def lifetime(self, purpose: MailPurpose) -> timedelta:
        """Return how long a token is valid after the mail was sent."""
        if purpose is MailPurpose.RESET_PASSWORD:
            return self.reset_lifetime
        return self.verification_lifetime


def is_due_to(account: Account | None, purpose: MailPurpose) -> bool:
    """Return whether *account* gets a mail with this purpose."""
    if account is None or not account.is_active:
        return False
    return purpose is MailPurpose.RESET_PASSWORD or not account.is_verified


def retry_delay(attempts: int) -> timedelta:
    """Return the time until the next attempt after *attempts*; it doubles up to ten minutes."""
    doubled: int = 1 << min(attempts, 10)
    return min(_FIRST_RETRY * doubled, _LAST_RETRY)


def mail_of(purpose: MailPurpose, *, to: str, token: str, rules: MailRules) -> Mail:
    """
    Return the mail with its link.

    The token is in the fragment of the link, which clients do not send, so it is in no access log.
    """
    base = rules.public_url.rstrip("/")
    valid = _duration(rules.lifetime(purpose))
    if purpose is MailPurpose.RESET_PASSWORD:
        return Mail(
            to,
            "Reset your password",
            "Somebody asked to reset the password of the account with this e-mail address.\n\n"
            f"Open this link to choose a new password:\n\n{base}/auth/reset-password#{token}\n\n"
            f"It works once, for {valid}. If you did not ask for it, ignore this mail: the"
            " password stays as it is.\n",
        )
    return Mail(
        to,
        "Confirm your e-mail address",
        "An account was registered with this e-mail address.\n\n"
        f"Open this link to confirm the address:\n\n{base}/auth/verify#{token}\n\n"
        f"It works once, for {valid}. If you did not register, ignore this mail.\n",
    )


def _duration(lifetime: timedelta) -> str:
    hours = lifetime / timedelta(hours=1)
    if hours.is_integer() and hours > 1:
        return f"{hours:.0f} hours"
    return f"{lifetime / timedelta(minutes=1):.0f} minutes"
