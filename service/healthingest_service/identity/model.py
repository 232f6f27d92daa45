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
    STUDY_MANAGE = "study:manage"


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
class Principal:
    """An authenticated caller. `token_id` is the token's `jti`, never the token."""

    account_id: AccountId
    scopes: frozenset[Scope]
    token_id: str

    def may(self, scope: Scope) -> bool:
        """Return whether *scope* was granted."""
        return scope in self.scopes


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


@dataclass(frozen=True, slots=True)
class RefreshToken:
    """A stored refresh token: its SHA-256 in hex, never the token itself."""

    token_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """
    One login, with all tokens that were issued for it (a "token family").

    Revoking the session makes its refresh tokens and access tokens invalid.
    """

    id: SessionId
    account_id: AccountId
    created_at: datetime


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
    """The tokens of a login. Both are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int
