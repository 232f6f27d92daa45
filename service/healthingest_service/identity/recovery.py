"""Uses tokens of mails: sets a new password, or verifies an e-mail address."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from healthingest_service.identity import refresh_tokens
from healthingest_service.identity.auth_service import AuthService
from healthingest_service.identity.errors import InvalidMailTokenError
from healthingest_service.identity.mail import MailPurpose
from healthingest_service.identity.mail_ports import MailTokens
from healthingest_service.identity.model import AccountId, NewAccount, NewPassword
from healthingest_service.identity.ports import Accounts
from healthingest_service.identity.registration import admit_password


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountRecovery:
    """
    The use cases of somebody who has a mail.

    Every method raises `InvalidMailTokenError` if the token is unknown, expired or used, and
    `IdentityUnavailableError` if the database gives no clear answer.
    """

    accounts: Accounts
    tokens: MailTokens
    auth: AuthService
    clock: Callable[[], datetime]

    async def reset_password(self, token: str, password: str) -> AccountId:
        """
        Set a new password, end all sessions of the account, and return its id.

        The mail has reached its address, so the address counts as verified.

        Raises:
            UnacceptablePasswordError: the password breaks a rule; the token stays valid.
        """
        now = self.clock()
        account = await self.tokens.find(_hash(token), MailPurpose.RESET_PASSWORD, at=now)
        if account is None:
            raise InvalidMailTokenError
        admit_password(NewAccount(account.email, password))
        change = NewPassword(
            account_id=account.id,
            password=password,
            password_version=account.password_version,
            proves_email=True,
        )
        with self.auth.revoking(account.id):
            if not await self.accounts.set_password(change, at=now):
                raise InvalidMailTokenError
        return account.id

    async def verify_email(self, token: str) -> None:
        """Mark the address of the account as verified."""
        if not await self.tokens.verify_email(_hash(token), at=self.clock()):
            raise InvalidMailTokenError


def _hash(token: str) -> str:
    if len(token) > refresh_tokens.MAX_CHARACTERS:
        raise InvalidMailTokenError
    return refresh_tokens.token_hash(token)
