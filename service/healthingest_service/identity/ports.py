"""The ports of identity."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from healthingest_service.audit.model import AuditEvent
from healthingest_service.identity.device_tokens import (
    DeviceToken,
    DeviceTokenId,
    DeviceTokenPage,
)
from healthingest_service.identity.enrolment_codes import EnrolmentCode, EnrolmentCodeId
from healthingest_service.identity.model import (
    Account,
    AccountId,
    ListedSession,
    NewAccount,
    NewPassword,
    RefreshToken,
    Rotation,
    Session,
    SessionId,
)
from healthingest_service.identity.oidc import ExternalCaller, Issuer
from healthingest_service.identity.throttling import Charge, Decision, LoginAttempt


class AccountsByEmail(Protocol):
    """The accounts, looked up by their e-mail address."""

    async def by_email(self, email: str) -> Account | None:
        """
        Return the account with *email*, in its normal form, or None if it does not exist.

        Raises:
            IdentityUnavailableError: the accounts cannot be read.
        """
        ...


class Accounts(AccountsByEmail, Protocol):
    """The accounts; only their adapter sees passwords and password hashes."""

    async def add(self, new: NewAccount) -> Account:
        """
        Create an account and return it.

        Of two concurrent calls with the same e-mail address exactly one succeeds.

        Raises:
            AccountExistsError: an account with this e-mail address exists.
            PasswordQueueFullError: no account was created.
            IdentityUnavailableError: no clear answer; if the account was created, a second call
                raises `AccountExistsError`.
        """
        ...

    async def authenticate(self, email: str | None, password: str) -> Account | None:
        """
        Return the account of *email* and *password*, or None if one of them is wrong.

        *email* is in its normal form, or None if the text is no e-mail address. An unknown account
        takes as long as a wrong password: one hash. The caller checks whether the account may log
        in.

        Raises:
            PasswordQueueFullError, IdentityUnavailableError: the password cannot be checked now.
        """
        ...

    async def get(self, account_id: AccountId) -> Account | None:
        """
        Return the account, or None if it does not exist.

        Raises:
            IdentityUnavailableError: the accounts cannot be read.
        """
        ...

    async def admit_external(self, account_id: AccountId) -> bool:
        """
        Return whether the account of an identity provider's user is active.

        The account is created at the first call, without a password and without personal data.

        Raises:
            IdentityUnavailableError: the accounts cannot be read or written.
        """
        ...

    async def rename(
        self, account_id: AccountId, names: Mapping[str, str | None]
    ) -> Account | None:
        """
        Change `first_name` and `last_name` as far as *names* has them; None removes a name.

        Returns the account, or None if it does not exist. Calling twice is safe.

        Raises:
            IdentityUnavailableError: no clear answer.
        """
        ...

    async def set_password(self, new: NewPassword, *, at: datetime) -> bool:
        """
        Set a new password, and revoke all sessions but `new.keep`, in one transaction.

        Returns whether it was set: False if the password was changed since, or the account is
        inactive.

        Raises:
            PasswordQueueFullError: nothing has changed.
            IdentityUnavailableError: no clear answer; if it was set, a second call returns False.
        """
        ...

    async def close(self, account_id: AccountId, *, password_version: int, at: datetime) -> bool:
        """
        Close an account for good, in one transaction.

        Its e-mail address, names and password are emptied, its sessions and tokens end, and its id
        stays. Another account can have the address afterwards.

        Returns whether it was closed: False if the password was changed since, or the account is
        inactive.

        Raises:
            LastAdministratorError: no other active account is an administrator.
            IdentityUnavailableError: no clear answer; if it was closed, a second call returns
                False.
        """
        ...


class GroupMemberships(Protocol):
    """What follows from the groups of a user at an identity provider."""

    async def follow(self, issuer: Issuer, user: ExternalCaller) -> None:
        """
        Apply the groups of a token that was verified; those of an older token change nothing.

        Calling twice is safe.

        Raises:
            IdentityUnavailableError: no clear answer.
        """
        ...


class Sessions(Protocol):
    """
    The login sessions and their refresh tokens.

    Every method is one transaction. It raises `IdentityUnavailableError` if the database gives no
    clear answer.
    """

    async def begin(self, session: Session, first: RefreshToken, *, password_version: int) -> None:
        """
        Store a new session and its first refresh token.

        A password change that runs concurrently either revokes the session or prevents it.

        Raises:
            InvalidCredentialsError: the account has another *password_version*.
        """
        ...

    async def rotate(
        self,
        token_hash: str,
        *,
        child_salt: bytes,
        child: RefreshToken,
        at: datetime,
        longest: timedelta,
    ) -> Rotation:
        """
        Use a refresh token, and return the result.

        The first use stores *child*, which expires with the session at the latest, and
        *child_salt*; later uses change nothing. Of several concurrent calls exactly one is the
        first use.

        Raises:
            InvalidTokenError: the token is unknown or expired at *at*, its session is revoked or
                began *longest* before *at*, or its account is inactive.
        """
        ...

    async def revoke(self, session_id: SessionId, *, at: datetime) -> None:
        """Revoke a session. It is no error if it is revoked already or does not exist."""
        ...

    async def revoke_one(
        self, session_id: SessionId, account_id: AccountId, *, at: datetime
    ) -> bool:
        """Revoke a live session of the account; returns False if it has no such session."""
        ...

    async def revoke_others(self, account_id: AccountId, *, keep: SessionId, at: datetime) -> None:
        """Revoke all sessions of the account but *keep*. Calling twice is safe."""
        ...

    async def live_sessions(
        self, account_id: AccountId, *, at: datetime, limit: int
    ) -> Sequence[ListedSession]:
        """Return the *limit* newest sessions that can be refreshed at *at*, newest first."""
        ...

    async def find(self, token_hash: str) -> SessionId | None:
        """Return the session of a refresh token in any state, or None for an unknown token."""
        ...

    async def is_live(self, session_id: SessionId, account_id: AccountId) -> bool:
        """Return whether the session is the account's and not revoked, and the account active."""
        ...

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """
        Remove up to *limit* refresh tokens that expired before *before*, the oldest first.

        A session without a token goes with its last one. Returns the number of tokens.
        """
        ...


class DeviceTokenStore(Protocol):
    """
    The device tokens, by the hashes of their texts.

    Every method is one transaction. It raises `IdentityUnavailableError` if the database gives no
    clear answer.
    """

    async def add(
        self, token: DeviceToken, token_hash: str, event: AuditEvent | None = None
    ) -> None:
        """Store a new token, and *event* with it."""
        ...

    async def list_of(self, account: AccountId, *, at: datetime) -> tuple[DeviceToken, ...]:
        """Return the tokens of *account* that are valid at *at*, newest first."""
        ...

    async def find(self, token_hash: str) -> DeviceToken | None:
        """Return the token in any state; None if it does not exist or its account is inactive."""
        ...

    async def revoke(self, account: AccountId, token_id: DeviceTokenId, *, at: datetime) -> None:
        """
        Revoke a token of *account*, and tell the other processes of its id.

        Raises:
            DeviceTokenNotFoundError: the account never had such a token.
        """
        ...

    async def list_in_study(
        self,
        study: str,
        subject: str | None,
        *,
        at: datetime,
        limit: int,
        cursor: DeviceTokenId | None,
    ) -> DeviceTokenPage:
        """
        Return the tokens of *study* that are valid at *at*, by id; only those of *subject*.

        *subject* None means all tokens of the study.
        """
        ...

    async def revoke_in_study(self, study: str, token_id: DeviceTokenId, *, at: datetime) -> None:
        """
        Revoke a token of *study*, and tell the other processes of its id.

        Raises:
            DeviceTokenNotFoundError: the study never had such a token.
        """
        ...

    async def note_use(self, token_id: DeviceTokenId, hour: datetime) -> None:
        """Record that the token was used in this *hour*."""
        ...

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """
        Remove up to *limit* tokens that ended `KEPT` before *before*, or earlier.

        Returns their number.
        """
        ...


class EnrolmentCodes(Protocol):
    """
    The enrolment codes, by the hashes of their texts.

    Every method is one transaction. It raises `IdentityUnavailableError` if the database gives no
    clear answer.
    """

    async def count_open(self, study: str, *, at: datetime) -> int:
        """Return how many codes of *study* are neither redeemed nor expired at *at*."""
        ...

    async def add(
        self, code: EnrolmentCode, code_hash: str, event: AuditEvent | None = None
    ) -> None:
        """Store a new code, and *event* with it."""
        ...

    async def remove(self, study: str, code_id: EnrolmentCodeId) -> None:
        """Remove a code of *study*; a missing one is no error."""
        ...

    async def redeem(
        self,
        code_hash: str,
        token_for: Callable[[EnrolmentCode], DeviceToken],
        token_hash: str,
        *,
        at: datetime,
    ) -> DeviceToken:
        """
        Exchange a code for the token that *token_for* returns, and return that token.

        The token's account is created as an uploader of the study. Of concurrent calls one
        exchanges the code. A later call with the same *token_hash* gets the same token while it is
        valid.

        Raises:
            InvalidEnrolmentCodeError: the code is unknown, expired at *at*, or used.
        """
        ...

    async def forget_expired(self, *, before: datetime, limit: int) -> int:
        """
        Remove up to *limit* codes that expired `KEPT` before *before*, or earlier.

        Returns their number.
        """
        ...


class RateLimiter(Protocol):
    """A rate limiter with a sliding window."""

    async def count(self, *charges: Charge) -> Sequence[Decision]:
        """
        Count *charges* in their order, up to the first one that is refused.

        Returns a decision for each of them; the refused one is the last. A refused charge is not
        counted, and those before it stay counted. An amount of bytes is counted if so much remains;
        see `throttling.spending`.

        Raises:
            LimiterUnavailableError: the counters are not available.
        """
        ...


class LoginThrottle(Protocol):
    """
    Slows down the guessing of passwords, by the rules of `throttling.LoginRules`.

    Every method raises `LimiterUnavailableError` if the counters are not available.
    """

    async def admit(self, attempt: LoginAttempt) -> float:
        """
        Return 0 if the login may be attempted now, else the seconds to wait.

        After the free failures of a key, an admitted attempt blocks the next one for the delay. So
        of several concurrent attempts one is admitted.
        """
        ...

    async def failed(self, attempt: LoginAttempt) -> None:
        """Count a failed login for the device, the account and the address."""
        ...

    async def succeeded(self, attempt: LoginAttempt) -> None:
        """Clear the failures of the device, and record it as a known device."""
        ...
