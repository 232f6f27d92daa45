"""The ports of mails: the queue, the tokens, and the sender."""

from datetime import datetime
from typing import Protocol

from healthingest_service.identity.mail import Mail, MailPurpose, MailRequest
from healthingest_service.identity.model import Account, AccountId


class MailSender(Protocol):
    """Sends mails."""

    async def send(self, mail: Mail) -> None:
        """
        Hand *mail* over to the mail server. A second call sends a second mail.

        Raises:
            MailRefusedError: the server refuses the recipient for good.
            MailUnavailableError: the mail was not handed over, or no clear answer came.
        """
        ...


class MailQueue(Protocol):
    """
    The requested mails, at most one for each purpose and e-mail address.

    Every method is one transaction. It raises `IdentityUnavailableError` if the database gives no
    clear answer.
    """

    async def put(self, purpose: MailPurpose, email: str, *, at: datetime) -> None:
        """
        Add a request; nothing changes if the same one is waiting.

        *email* is in its normal form; it need not be the address of an account.

        Raises:
            IdentityUnavailableError: also if too many requests are waiting.
        """
        ...

    async def take(self, *, at: datetime) -> MailRequest | None:
        """
        Return the request that is due for longest, or None.

        It is due again after `mail.retry_delay`, unless it is removed before. Of concurrent calls
        one gets it.
        """
        ...

    async def remove(self, request: MailRequest) -> None:
        """Remove a request, unless it was taken again meanwhile. Calling twice is safe."""
        ...


class MailTokens(Protocol):
    """
    The tokens in mails, by their SHA-256 in hex.

    Every method is one transaction. It raises `IdentityUnavailableError` if the database gives no
    clear answer.
    """

    async def add(
        self, token_hash: str, account_id: AccountId, purpose: MailPurpose, *, expires_at: datetime
    ) -> None:
        """Store a new token."""
        ...

    async def find(self, token_hash: str, purpose: MailPurpose, *, at: datetime) -> Account | None:
        """Return the active account of a token that is valid at *at*, else None."""
        ...

    async def verify_email(self, token_hash: str, *, at: datetime) -> bool:
        """
        Use up a token with the purpose `verify-email`, and mark the account's address as verified.

        Returns False, and changes nothing, if the token is not valid at *at*. Of concurrent calls
        one returns True.
        """
        ...

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """Remove up to *limit* tokens that expired before *before*; returns their number."""
        ...
