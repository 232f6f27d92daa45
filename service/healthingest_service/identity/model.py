"""Who is asking, as values."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

AccountId = NewType("AccountId", UUID)
SessionId = NewType("SessionId", UUID)


class Scope(StrEnum):
    """What a token may be used for."""

    UPLOAD_WRITE = "upload:write"
    UPLOAD_READ = "upload:read"


class Registration(StrEnum):
    """Who may make an account, and which accounts may log in."""

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
        """Whether *scope* was granted."""
        return scope in self.scopes


@dataclass(frozen=True, slots=True)
class NewAccount:
    """
    What somebody gives to register.

    `email` is in its normal form, see `email_address.normal_email`.

    `is_verified` is for those who make accounts for others, and vouch for the address.
    """

    email: str = field(repr=False)
    password: str = field(repr=False)
    first_name: str | None = field(default=None, repr=False)
    last_name: str | None = field(default=None, repr=False)
    is_verified: bool = False


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can log in. Times are aware and in UTC."""

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
    """A refresh token as it is stored: its SHA-256, never the token."""

    token_hash: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """
    One login and everything that came of it by refreshing (a "family" of tokens).

    Revoking it ends its refresh tokens and its access tokens.
    """

    id: SessionId
    account_id: AccountId
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Rotation:
    """
    What presenting a refresh token led to.

    `child_salt` makes the child from the parent; it is the first caller's, also for everybody who
    comes second. `first_used_at` is None when this call was the first use.
    """

    session_id: SessionId
    account_id: AccountId
    email: str = field(repr=False)
    child_salt: bytes = field(repr=False)
    first_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login gives. Both are secrets."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_in_seconds: int
