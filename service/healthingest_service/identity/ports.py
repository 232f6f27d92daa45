"""What identity needs from outside."""

from datetime import datetime
from typing import Protocol

from healthingest_service.identity.model import (
    Account,
    AccountId,
    NewAccount,
    RefreshToken,
    Rotation,
    Session,
    SessionId,
)
from healthingest_service.identity.throttling import Decision, LoginAttempt, Rule


class Accounts(Protocol):
    """The directory of accounts; it alone sees passwords and their hashes."""

    async def add(self, new: NewAccount) -> Account:
        """
        Make an account.

        Of two calls with one e-mail address in its normal form exactly one succeeds.

        Raises:
            AccountExistsError: the e-mail address is taken.
            PasswordQueueFullError, IdentityUnavailableError: not now; nothing was made or the next
                call says it exists.
        """
        ...

    async def authenticate(self, email: str | None, password: str) -> Account | None:
        """
        The account that *email* and *password* belong to.

        None for an unknown one and for a wrong password.

        *email* is in its normal form; None for a text that is no address.

        Both take the time of one hash. Whether the account may log in is not checked here.

        Raises:
            PasswordQueueFullError, IdentityUnavailableError: it cannot be told.
        """
        ...

    async def get(self, account_id: AccountId) -> Account | None:
        """
        One account.

        Raises:
            IdentityUnavailableError: it cannot be told.
        """
        ...


class Sessions(Protocol):
    """
    The memory of logins.

    Every method is one transaction and raises `IdentityUnavailableError` when unclear.
    """

    async def begin(self, session: Session, first: RefreshToken) -> None:
        """Remember a login and its first refresh token."""
        ...

    async def rotate(
        self, token_hash: str, *, child_salt: bytes, child: RefreshToken, at: datetime
    ) -> Rotation:
        """
        Use a refresh token.

        The first use stores *child* and *child_salt*, later uses change nothing.

        Of several calls at one moment exactly one is the first.

        Raises:
            InvalidTokenError: unknown, expired at *at*, or of a revoked session or an inactive
                account.
        """
        ...

    async def revoke(self, session_id: SessionId, *, at: datetime) -> None:
        """End a session. Calling twice is safe, and so is a session that does not exist."""
        ...

    async def find(self, token_hash: str) -> SessionId | None:
        """
        The session that a refresh token belongs to, in whatever state.

        None for an unknown one.
        """
        ...

    async def is_live(self, session_id: SessionId, account_id: AccountId) -> bool:
        """Whether the session belongs to the account, is not revoked, and the account is active."""
        ...

    async def forget_expired(self, *, before: datetime) -> int:
        """
        Remove sessions all of whose refresh tokens ran out before that time.

        How many there were.
        """
        ...


class RateLimiter(Protocol):
    """Counts by a moving window."""

    async def hit(self, rule: Rule, key: str) -> Decision:
        """
        Count one request of *key* against *rule*; a refused one is not counted.

        Raises:
            LimiterUnavailableError: the counters are out of reach.
        """
        ...


class LoginThrottle(Protocol):
    """
    Slows down the guessing of passwords; `throttling.LoginRules` says how.

    Every method raises `LimiterUnavailableError` when the counters are out of reach.
    """

    async def admit(self, attempt: LoginAttempt) -> float:
        """
        Ask for one attempt: 0 when it may be made, else the seconds until the next one.

        After the free failures of a key, admitting one attempt closes the door to the next for the
        delay: of several at one moment one is admitted.
        """
        ...

    async def failed(self, attempt: LoginAttempt) -> None:
        """Count a failure, for the device, the account and the address."""
        ...

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """Forget the failures of the device, and know it from now on."""
        ...
