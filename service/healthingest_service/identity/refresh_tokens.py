"""
Refresh tokens: 256 random bits, stored as their hash, each one exchanged once.

The child is derived from the parent's text and a random salt that is stored with the parent's hash.
So two exchanges of one parent at one moment get the same child, and neither the database alone nor
an old token alone gives it away.
"""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from typing import Final

SALT_BYTES: Final = 32
_TOKEN_BYTES: Final = 32
MAX_CHARACTERS: Final = 64
"""More than our tokens have (43); longer texts are not even hashed."""


def new_token() -> str:
    """A first token."""
    return _text(secrets.token_bytes(_TOKEN_BYTES))


def new_salt() -> bytes:
    """A salt for a child."""
    return secrets.token_bytes(SALT_BYTES)


def child_of(parent: str, salt: bytes) -> str:
    """The token that follows *parent*; the same for the same salt."""
    return _text(hmac.digest(parent.encode(), salt, "sha256"))


def token_hash(token: str) -> str:
    """What is stored: SHA-256 suffices for 256 random bits."""
    return hashlib.sha256(token.encode()).hexdigest()


def _text(token: bytes) -> str:
    return urlsafe_b64encode(token).rstrip(b"=").decode()
