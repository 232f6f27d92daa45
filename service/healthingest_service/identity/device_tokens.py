"""
Device tokens: long-lived secrets with which a device uploads without a password. Pure.

A token is `hi_`, 43 characters from 32 random bytes, and a checksum of six characters. With the
prefix and the checksum, scanners of source code recognise a leaked token, and a mistyped one is
refused without a query.
"""

import hashlib
import re
import secrets
import zlib
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, NewType
from uuid import UUID

from healthingest_service.identity.model import AccountId, Binding, Scope

DeviceTokenId = NewType("DeviceTokenId", UUID)

PREFIX: Final = "hi_"
GRANTABLE: Final = frozenset({Scope.UPLOAD_WRITE, Scope.UPLOAD_READ, Scope.OUTCOME_WRITE})
"""A device token never administers its account, so it cannot create further tokens."""
MAX_TOKENS: Final = 100
"""Tokens of an account that are not revoked."""
KEPT: Final = timedelta(days=90)
"""How long an ended token is kept, so that its id can be explained."""
_ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM_CHARACTERS: Final = 43
_SEED_BYTES: Final = 64
"""More than the characters need, so that each character is as likely as the others."""
_CHECKSUM_CHARACTERS: Final = 6
_FORM: Final = re.compile(
    rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM_CHARACTERS}}}[0-9A-Za-z]{{{_CHECKSUM_CHARACTERS}}}"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceToken:
    """
    A device token without its secret. Times are timezone-aware and in UTC.

    `last_used_at` is rounded down to the hour. Without `expires_at` it is valid until it is
    revoked.
    """

    id: DeviceTokenId
    account_id: AccountId
    name: str = field(repr=False)
    scopes: frozenset[Scope]
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None
    binding: Binding | None = None

    def is_valid(self, at: datetime) -> bool:
        """Return whether the token is neither revoked nor expired at *at*."""
        return self.revoked_at is None and (self.expires_at is None or at < self.expires_at)


@dataclass(frozen=True, slots=True)
class DeviceTokenPage:
    """Device tokens by id; `next_cursor` is None on the last page."""

    tokens: tuple[DeviceToken, ...]
    next_cursor: DeviceTokenId | None


def new_device_token() -> str:
    """Return the text of a new token; only its hash is stored."""
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_CHARACTERS))
    return f"{PREFIX}{random}{_checksum(random)}"


def derived_device_token(seed: bytes) -> str:
    """Return the text of the token that belongs to *seed*, which nobody must guess."""
    rest = int.from_bytes(hashlib.shake_256(seed).digest(_SEED_BYTES))
    random = ""
    for _ in range(_RANDOM_CHARACTERS):
        rest, digit = divmod(rest, len(_ALPHABET))
        random += _ALPHABET[digit]
    return f"{PREFIX}{random}{_checksum(random)}"


def is_device_token(text: str) -> bool:
    """Return whether *text* has the form and the checksum of a device token."""
    if _FORM.fullmatch(text) is None:
        return False
    random = text[len(PREFIX) : -_CHECKSUM_CHARACTERS]
    return text.endswith(_checksum(random))


def device_token_hash(text: str) -> str:
    """Return the hash of a token, SHA-256 in hex; 256 random bits need no slow hash."""
    return hashlib.sha256(text.encode()).hexdigest()


def hour_of(at: datetime) -> datetime:
    """Return *at* rounded down to the hour."""
    return at.replace(minute=0, second=0, microsecond=0)


def _checksum(random: str) -> str:
    """Return the CRC-32 of *random* as six characters of the alphabet."""
    rest = zlib.crc32(random.encode())
    found = ""
    for _ in range(_CHECKSUM_CHARACTERS):
        rest, digit = divmod(rest, len(_ALPHABET))
        found = _ALPHABET[digit] + found
    return found
