"""The values of identity: accounts, principals, sessions and tokens."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)


class Scope(StrEnum):
    """The permissions of an access token."""

    UPLOAD_WRITE = "upload:write"
    UPLOAD_READ = "upload:read"
    ACCOUNT = "account"
    """Administer the own account; device tokens never have it."""
    STUDY_MANAGE = "study:manage"
    OUTCOME_WRITE = "outcome:write"
    """Report what a consumer has done with an upload."""


class Registration(StrEnum):
    """
    The registration policy: who may create accounts, and which accounts may log in.

    `Open`: clients register themselves. `Closed`: only an administrator creates accounts.
    `VerifiedOnly`: clients register, but only accounts with a verified address may log in.
    """

    OPEN = "Open"
    CLOSED = "Closed"
    VERIFIED_ONLY = "VerifiedOnly"


@dataclass(frozen=True, slots=True)
class Binding:
    """
    The study that a device token is for, and the pseudonym of its subject.

    Without `subject` the token may upload about each subject of the study.
    """

    study: str
    subject: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Principal:
    """
    An authenticated caller.

    `token_id` is the id of a device token, or the claim `jti` of another token, never the token.
    `session_id` is None if the token does not belong to a login. `binding` is None if the token may
    upload into each study of its account.
    """

    account_id: AccountId
    scopes: frozenset[Scope]
    token_id: str
    session_id: SessionId | None = None
    is_device: bool = False
    binding: Binding | None = None

    def may(self, scope: Scope) -> bool:
        """Return whether *scope* was granted."""
        return scope in self.scopes

    @property
    def counted_as(self) -> str:
        """The key of the caller's limits: each device token has its own, all logins share one."""
        return f"token:{self.token_id}" if self.is_device else f"account:{self.account_id}"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The owner of an account, and the session of the request."""

    account_id: AccountId
    session_id: SessionId


@dataclass(frozen=True, slots=True)
class NewAccount:
    """
    The data of a new account.

    `email` is in its normal form, see `email_address.normal_email`. `is_verified` is set for
    accounts that an administrator creates.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    is_verified: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """An account of a client. Times are timezone-aware and in UTC."""

    id: AccountId
    email: str = field(repr=False)
    first_name: str | None = field(repr=False)
    last_name: str | None = field(repr=False)
    is_active: bool
    is_verified: bool
    created_at: datetime
    updated_at: datetime
    password_version: int = field(default=0, repr=False)
    """It grows with each change of the password."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """
    A new password of an account.

    It is set only if the account still has `password_version`, i.e. the password that was checked.
    `keep` is the session that is not revoked.
    """

    account_id: AccountId
    password: str = field(repr=False)
    password_version: int
    keep: SessionId | None = None
    proves_email: bool = False
    """Whether the change proves that the account's address is its owner's."""


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A stored refresh token: its SHA-256 in hex, never the token itself."""

    token_hash: str
    expires_at: datetime

    def ending(self, at: datetime | None) -> "RefreshToken":
        """Return the token, which expires *at* that time at the latest."""
        return self if at is None else RefreshToken(self.token_hash, min(self.expires_at, at))


@dataclass(frozen=True, slots=True)
class Session:
    """
    One login, with all tokens that were issued for it (a "token family").

    Revoking the session makes its refresh tokens and access tokens invalid. No refresh token is
    valid after `ends_at`; None: each refresh extends the session.
    """

    id: SessionId
    account_id: AccountId
    created_at: datetime
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ListedSession:
    """A live session of an account; `refreshed_at` is None before the first refresh."""

    id: SessionId
    created_at: datetime
    refreshed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Rotation:
    """
    The result of using a refresh token.

    `child_salt` derives the next token from the used one; it is the salt of the first use, also for
    later uses. `first_used_at` is None if this is the first use.
    """

    session_id: SessionId
    account_id: AccountId
    email: str = field(repr=False)
    child_salt: bytes = field(repr=False)
    first_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """The tokens of a login, and whose they are. Both tokens are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int
    account_id: AccountId
    session_id: SessionId
